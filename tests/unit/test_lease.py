"""Leases: who computes where on this machine is known for as long as it lives, and not a moment longer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.core.errors import FtuiError
from ftui.gpu.nvml import Gpu
from ftui.runs import devices, lease, room
from ftui.runs.devices import devices_used, show_device
from ftui.runs.lease import holders, leases, take
from ftui.runs.process import child_environment
from tests.runs_support import make_workspace, recipe, until

GIB = 2**30
TWO = (Gpu(0, "A"), Gpu(1, "B"))


@pytest.fixture(autouse=True)
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_a_lease_is_seen_until_it_is_closed():
    held = take("train", "tickets-1", ("gpu0", "gpu1"), workspace="/ws", memory=5)
    (found,) = leases()
    assert (found.kind, found.who, found.devices) == ("train", "tickets-1", ("gpu0", "gpu1"))
    assert (found.workspace, found.memory, found.pid) == ("/ws", 5, os.getpid())
    assert holders(("gpu1",), "train") == [found]
    assert holders(("gpu1",), "chat") == holders(("gpu2",)) == []
    os.close(held)
    assert leases() == []
    assert list(lease._folder(make=False).iterdir()) == [], "the dead one was taken away"


def test_a_lease_lasts_as_long_as_any_process_that_inherited_it():
    """The supervisor is killed, the trainer goes on."""
    code = (
        "import subprocess, sys\nfrom ftui.runs.lease import take\n"
        "held = take('train', 'tickets-1', ('cpu',))\n"
        "child = subprocess.Popen(['sleep', '1000'], pass_fds=[held], stdout=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\nchild.wait()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=child_environment()
    )
    heir = int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert [found.who for found in leases()] == ["tickets-1"]
    os.kill(heir, signal.SIGKILL)
    until(lambda: not leases())


def test_a_damaged_or_hostile_lease_is_harmless(runtime):
    held = take("train", "\x1b]0;owned\x07" * 50, ("cpu",))
    (found,) = leases()
    assert "\x1b" not in found.who
    assert len(found.who) <= 80
    os.close(held)
    folder = runtime / "ftui-leases"
    (folder / "left.lease").write_text("{")
    (folder / "dir.lease").mkdir()
    (folder / "loop.lease").symlink_to("loop.lease")
    os.mkfifo(folder / "pipe.lease")
    assert leases() == []


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["kind", "who", "devices", "memory", "pid", "workspace"]), inner), max_leaves=8
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_content_breaks_reading(content):
    lease._parse(content)


def test_without_a_place_for_leases_everything_works(monkeypatch, tmp_path):
    (tmp_path / "ftui-leases").write_text("in the way")
    assert take("train", "tickets-1", ("cpu",)) is None
    assert leases() == []


def test_somebody_elses_folder_is_not_used(monkeypatch, tmp_path):
    (tmp_path / "ftui-leases").mkdir()
    monkeypatch.setattr(lease.os, "getuid", lambda: os.stat(tmp_path).st_uid + 1)
    assert take("chat", "demo", ("cpu",)) is None


@pytest.mark.parametrize(
    ("gpus", "visible", "processes", "used"),
    [
        ((), None, 1, ("cpu",)),
        ((), "0", 2, ("cpu",)),
        (TWO, None, 1, ("gpu0",)),
        (TWO, None, 8, ("gpu0", "gpu1")),
        (TWO, "1", 1, ("gpu1",)),
        (TWO, "1,0", 2, ("gpu1", "gpu0")),
        (TWO, "1,1", 2, ("gpu1",)),
        (TWO, "", 1, ("cpu",)),
        (TWO, "-1", 1, ("cpu",)),
        (TWO, "1,9,0", 3, ("gpu1",)),
        (TWO, "GPU-1a2b", 1, ("GPU-1a2b",)),
        ((Gpu(0, "A", mig=0), Gpu(0, "A", mig=1)), "1", 1, ("gpu0.mig1",)),
    ],
)
def test_the_devices_are_those_cuda_would_use(gpus, visible, processes, used):
    assert devices_used(gpus, visible, processes) == used


def test_devices_have_names_for_people():
    assert [show_device(one) for one in ("cpu", "gpu3", "gpu0.mig1", "GPU-1a")] == [
        "the CPU", "GPU 3", "GPU 0 MIG 1", "GPU-1a",
    ]  # fmt: skip


# -- starting beside others


@pytest.fixture
def gpu(monkeypatch):
    """A machine with one GPU of 24 GiB, `free` of which nobody uses, and a run that needs 10 GiB."""

    def make(free):
        used = None if free is None else 24 * GIB - free
        monkeypatch.setattr(devices.nvml, "snapshot", lambda: (Gpu(0, "A", used, 24 * GIB),))
        monkeypatch.setattr(room, "memory_need", lambda *_: 10 * GIB)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return make


def look(tmp_path, **options):
    return room.look_for_room(make_workspace(tmp_path / "ws"), recipe(), **options)


def test_an_idle_gpu_needs_no_words(gpu, tmp_path):
    gpu(1 * GIB)
    assert look(tmp_path) == "", "what else uses it is not ours: the trainer copes with little memory"


def test_a_second_run_on_a_full_gpu_is_refused_in_one_line(gpu, tmp_path):
    gpu(3 * GIB)
    held = take("train", "tickets-1", ("gpu0",))
    with pytest.raises(FtuiError) as caught:
        look(tmp_path)
    assert caught.value.message == "tickets-1 trains on GPU 0 already: 10.0 GiB needed, 3.0 GiB free"
    assert "--queue" in caught.value.hint
    os.close(held)


def test_anyway_starts_it_and_so_does_room_enough(gpu, tmp_path):
    held = take("train", "tickets-1", ("gpu0",))
    gpu(3 * GIB)
    assert "tickets-1 trains on GPU 0 too" in look(tmp_path, anyway=True)
    gpu(12 * GIB)
    assert "both are slower" in room.look_for_room(make_workspace(tmp_path / "more"), recipe())
    os.close(held)


def test_a_chat_that_fills_the_gpu_is_named(gpu, tmp_path):
    gpu(3 * GIB)
    held = take("chat", "org/model", ("gpu0",))
    with pytest.raises(FtuiError, match="a chat with org/model runs on GPU 0 already"):
        look(tmp_path)
    os.close(held)


def test_another_gpu_is_another_matter(gpu, tmp_path):
    gpu(3 * GIB)
    held = take("train", "tickets-1", ("gpu1",))
    assert look(tmp_path) == ""
    os.close(held)


def test_what_is_free_may_be_unknown(gpu, tmp_path):
    gpu(None)
    held = take("train", "tickets-1", ("gpu0",))
    with pytest.raises(FtuiError, match="free is not known"):
        look(tmp_path)
    os.close(held)


def test_on_a_cpu_it_is_only_said(monkeypatch, tmp_path):
    monkeypatch.setattr(devices.nvml, "snapshot", tuple)
    held = [take("train", "tickets-1", ("cpu",)), take("chat", "demo", ("cpu",))]
    assert "tickets-1" in look(tmp_path)
    assert "trains on the CPU" in room.training_here(("cpu",))
    os.close(held[0])
    assert room.look_for_room(make_workspace(tmp_path / "more"), recipe()) == ""
    assert room.training_here(("cpu",)) == ""
    os.close(held[1])
