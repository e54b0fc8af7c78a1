"""Several GPUs: which of them a run takes, what it waits for, and by which name CUDA is told."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.core.errors import FtuiError
from ftui.gpu.nvml import Gpu
from ftui.gpu.processes import GpuProcess
from ftui.runs import examine, launch, queue, room, waiting
from ftui.runs.choice import least_disturbed
from ftui.runs.devices import devices_used, gpus_of, variables_for, visible_devices
from ftui.runs.lease import take
from ftui.runs.occupancy import Machine, devices_of
from ftui.runs.queue_files import Entry
from ftui.runs.rundir import RunDir, replace_json
from tests.queue_support import put
from tests.runs_support import make_workspace, recipe

GIB = 2**30
UUIDS = ("GPU-8f1c-aa", "GPU-8f2d-bb", "GPU-03c4-cc", "GPU-77e1-dd")


def gpus(*free, total=24):
    """GPUs of `total` GiB with so many of them free."""
    return tuple(
        Gpu(index, "A", (total - left) * GIB, total * GIB, uuid=UUIDS[index])
        for index, left in enumerate(free)
    )


def machine(*free, total=24, **facts):
    """A machine with GPUs of `total` GiB, so many of them free."""
    memory = {f"gpu{index}": (left * GIB, total * GIB) for index, left in enumerate(free)}
    return Machine(memory=memory, gpus=gpus(*free, total=total), **facts)


def run(needs=None, *, seen=None, processes=1, estimate=None):
    return Entry(
        needs=needs and needs * GIB,
        estimate=estimate and estimate * GIB,
        processes=processes,
        environment={"CUDA_VISIBLE_DEVICES": seen},
    )


@pytest.fixture
def decided(tmp_path):
    """For each run, queued in that order, what it starts on or what it waits for."""

    def decide(where, *entries):
        pairs = []
        for number, entry in enumerate(entries):
            rundir = RunDir(tmp_path / f"run{number}")
            rundir.path.mkdir(exist_ok=True)
            replace_json(rundir.manifest_path, {"workspace": str(tmp_path)})
            pairs.append((rundir, entry))
        turns = waiting.decide(pairs, replace(where, root=tmp_path))
        return [turn.devices or turn.reason for turn in turns]

    return decide


# -- the queue


def test_each_queued_run_gets_a_gpu_of_its_own_and_the_next_waits_for_any(decided):
    assert decided(machine(24, 24, 24), *[run()] * 5) == [
        ("gpu0",), ("gpu1",), ("gpu2",),
        "waits for its turn: 3 before it", "waits for its turn: 4 before it",
    ]  # fmt: skip


def test_a_busy_gpu_is_passed_over(decided):
    busy = {"gpu0": "a-1"}
    assert decided(machine(24, 24, busy=busy), run(), run()) == [("gpu1",), "waits for a-1 to end"]


def test_where_all_are_busy_it_says_for_whom_it_waits(decided):
    busy = {"gpu0": "a-1", "gpu1": "b-1"}
    assert decided(machine(24, 24, busy=busy), run()) == ["waits for a-1 or b-1 to end"]
    assert decided(machine(24, 24, busy=dict.fromkeys(busy, "a-1")), run()) == ["waits for a-1 to end"]
    busy = {f"gpu{index}": f"run-{index}" for index in range(4)}
    assert decided(machine(24, 24, 24, 24, busy=busy), run()) == ["waits for run-0 or one of 3 more to end"]


def test_too_little_memory_is_said_of_the_gpu_with_most(decided):
    assert decided(machine(3, 9, 5), run(14)) == ["waits for 14.0 GiB free on GPU 1: 9.0 GiB now"]
    busy = {"gpu0": "a-1"}
    words = "waits for a-1 to end or for 14.0 GiB free on GPU 2: 5.0 GiB now"
    assert decided(machine(20, 3, 5, busy=busy), run(14)) == [words]


def test_memory_decides_which_gpu_it_is(decided):
    assert decided(machine(13, 20, 22), run(14), run(8), run(20)) == [("gpu1",), ("gpu0",), ("gpu2",)]
    assert decided(machine(9, 20), run(estimate=14)) == [("gpu1",)]


def test_a_run_that_waits_for_memory_is_not_overtaken_on_what_it_could_use(decided):
    assert decided(machine(9, 9), run(14), run(2), run(2, seen="1")) == [
        "waits for 14.0 GiB free on GPU 0: 9.0 GiB now",
        "waits for its turn: 1 before it",
        "waits for its turn: 2 before it",
    ]


def test_it_keeps_nothing_that_it_can_never_use(decided):
    """Too small for it, not seen by it, or on no GPU of this machine."""
    mixed = Machine(memory={"gpu0": (24 * GIB, 24 * GIB), "gpu1": (30 * GIB, 80 * GIB)}, gpus=gpus(24, 24))
    assert decided(mixed, run(60), run(20)) == [
        "waits for 60.0 GiB free on GPU 1: 30.0 GiB now", ("gpu0",),
    ]  # fmt: skip
    assert decided(mixed, run(estimate=60), run(20))[1] == ("gpu0",)
    assert decided(machine(24, 9), run(14, seen="1"), run()) == [
        "waits for 14.0 GiB free on GPU 1: 9.0 GiB now", ("gpu0",),
    ]  # fmt: skip
    assert decided(machine(24, 20), run(90), run()) == [
        "waits for 90.0 GiB free on GPU 0: 24.0 GiB now", ("gpu0",),
    ]  # fmt: skip


def test_an_estimate_beyond_every_gpu_is_tried_on_any_of_them(decided):
    assert decided(machine(24, 24), run(estimate=60), run(estimate=60)) == [("gpu0",), ("gpu1",)]


def test_it_chooses_only_among_what_it_was_given(decided):
    busy = {"gpu1": "a-1"}
    where = machine(24, 24, 24, 24, busy=busy)
    assert decided(where, run(seen="1,3"), run(seen="1"), run()) == [
        ("gpu3",), "waits for a-1 to end", ("gpu0",),
    ]  # fmt: skip
    assert decided(where, run(seen="1,3"), run(seen="3,2")) == [("gpu3",), ("gpu2",)]
    assert decided(where, run(seen=f"{UUIDS[1]},{UUIDS[3]}")) == [("gpu3",)]
    assert decided(where, run(seen=""), run(seen="")) == [("cpu",), "waits for its turn: 1 before it"]


def test_several_processes_take_as_many_free_gpus(decided):
    assert decided(machine(24, 24, 24, 24, busy={"gpu1": "a-1"}), run(processes=2), run()) == [
        ("gpu0", "gpu2"), ("gpu3",),
    ]  # fmt: skip
    busy = {"gpu0": "a-1", "gpu2": "b-1"}
    assert decided(machine(24, 24, 24, busy=busy), run(processes=2), run()) == [
        "waits for 2 GPUs, 1 free: a-1 or b-1 to end", "waits for its turn: 1 before it",
    ]  # fmt: skip
    assert decided(machine(24, 24, busy={"gpu1": "a-1"}), run(processes=8)) == ["waits for a-1 to end"]


def test_a_gpu_that_a_chat_or_others_have_filled_is_taken_last(decided):
    assert decided(machine(24, 24, chats=frozenset({"gpu0"})), run(), run()) == [("gpu1",), ("gpu0",)]
    assert decided(machine(9, 24), run()) == [("gpu1",)]
    assert decided(machine(20, 24), run()) == [("gpu0",)], "a desktop takes a little of it"


def test_a_gpu_that_fell_off_the_bus_attracts_nobody(decided):
    where = machine(24, 24)
    lost = replace(where, memory={**where.memory, "gpu0": (None, None)})
    assert decided(lost, run(), run()) == [("gpu1",), "waits for its turn: 1 before it"]
    assert decided(replace(where, memory={}), run(9), run(9)) == [("gpu0",), ("gpu1",)], "none tells"


def test_mig_slices_are_chosen_among_like_gpus(decided):
    slices = tuple(Gpu(0, "A", 0, 10 * GIB, mig=number, uuid=f"MIG-{number}") for number in range(2))
    where = Machine(
        memory={f"gpu0.mig{number}": (10 * GIB, 10 * GIB) for number in range(2)},
        busy={"gpu0.mig0": "a-1"},
        gpus=slices,
    )
    assert decided(where, run()) == [("gpu0.mig1",)]
    assert decided(where, run(seen="MIG-0"), run(seen="MIG-1")) == ["waits for a-1 to end", ("gpu0.mig1",)]


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(1, 40), st.sampled_from([None, "0", "1,2", "3,0", ""]), st.integers(1, 3)
        ),
        max_size=6,
    ),
    st.lists(st.tuples(st.integers(0, 24), st.booleans()), min_size=4, max_size=4),
)
def test_no_two_runs_ever_get_one_gpu_nor_a_busy_or_a_full_one(wishes, state):
    where = machine(
        *(free for free, _ in state), busy={f"gpu{n}": "other" for n, (_, busy) in enumerate(state) if busy}
    )
    entries = [run(needs, seen=seen, processes=processes) for needs, seen, processes in wishes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "at_home", lambda *_: True)
        turns = waiting.decide(
            [(RunDir(where.root / str(n)), entry) for n, entry in enumerate(entries)], where
        )
    taken = [device for turn in turns for device in turn.devices]
    assert len(taken) == len(set(taken))
    assert not set(taken) & set(where.busy)
    for turn, entry in zip(turns, entries, strict=True):
        seen = visible_devices(where.gpus, entry.environment["CUDA_VISIBLE_DEVICES"])
        assert set(turn.devices) <= set(seen)
        assert turn.ready == bool(turn.devices)
        assert not turn.devices or len(turn.devices) == min(entry.processes, len(seen))
        for device in turn.devices:
            assert entry.needs is None or device == "cpu" or where.memory[device][0] >= entry.needs


def test_more_than_the_largest_gpu_has_is_refused_rather_than_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    workspace = make_workspace(tmp_path / "ws")
    queue.pause(workspace)
    small, large = gpus(24)[0], gpus(80, 80, total=80)[1]
    monkeypatch.setattr(queue.nvml, "snapshot", lambda: (small, large))
    put(workspace, "one", needs=60 * GIB)
    with pytest.raises(FtuiError, match=r"GPU 1 has 80\.0 GiB"):
        put(workspace, "two", needs=90 * GIB)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(FtuiError, match=r"GPU 0 has 24\.0 GiB"):
        put(workspace, "three", needs=60 * GIB)


# -- started at once


def test_what_starts_at_once_goes_where_it_disturbs_least():
    busy, chats = {"gpu0": "a-1"}, frozenset({"gpu1"})
    assert least_disturbed(run(), machine(24, 24, 24, busy=busy, chats=chats)) == ("gpu2",)
    assert least_disturbed(run(), machine(24, 24, busy=busy, chats=chats)) == ("gpu1",)
    assert least_disturbed(run(9), machine(20, 20, busy={**busy, "gpu1": "b-1"})) == ("gpu0",)
    assert least_disturbed(run(9), machine(5, 20, busy={**busy, "gpu1": "b-1"})) == ("gpu1",)
    assert least_disturbed(run(9), machine(20, 5, busy=busy)) == ("gpu0",), "there it runs at least"
    assert least_disturbed(run(processes=2), machine(24, 24, 24, busy=busy)) == ("gpu1", "gpu2")


@pytest.fixture
def box(tmp_path, monkeypatch):
    """A machine with several GPUs, and a run that needs 10 GiB: the notice before its start."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(room, "memory_need", lambda *_: 10 * GIB)
    workspace = make_workspace(tmp_path / "ws")

    def look(found, **options):
        monkeypatch.setattr(room.nvml, "snapshot", lambda: found)
        return room.look_for_room(workspace, recipe(), **options)

    return look


@contextlib.contextmanager
def held(*found):
    descriptors = [take(kind, who, (device,)) for kind, who, device in found]
    yield
    for descriptor in descriptors:
        os.close(descriptor)


def test_it_says_which_gpu_it_takes_where_that_is_not_the_first(box):
    assert box(gpus(24, 24)) == ""
    with held(("train", "support-bot", "gpu0")):
        assert box(gpus(4, 24)) == "on GPU 1: support-bot trains on GPU 0"
    with held(("chat", "org/model", "gpu0")):
        assert box(gpus(20, 24)) == "on GPU 1: a chat with org/model runs on GPU 0"
    assert box(gpus(4, 24)) == "on GPU 1: GPU 0 has only 4.0 GiB free"
    assert box((gpus(8, total=8)[0], gpus(24, 24)[1])) == "on GPU 1: GPU 0 has only 8.0 GiB"
    assert box((Gpu(0, "lost"), gpus(24, 24)[1])) == "on GPU 1: GPU 0 does not tell its memory"


def test_it_is_refused_only_where_no_gpu_is_free(box):
    with held(("train", "support-bot", "gpu0"), ("train", "other", "gpu1")):
        with pytest.raises(FtuiError) as caught:
            box(gpus(3, 4))
        assert caught.value.message == (
            "no GPU is free: support-bot trains on GPU 0 already: 10.0 GiB needed, 3.0 GiB free"
        )
        assert "support-bot trains on GPU 0 too" in box(gpus(3, 4), anyway=True)
        assert "other trains on GPU 1 too: both are slower" in box(gpus(3, 14))
        assert box(gpus(3, 4, 24)) == "on GPU 2: support-bot trains on GPU 0"


def test_two_starts_at_once_do_not_get_one_gpu(tmp_path, monkeypatch):
    """What was found free is taken before anybody else looks."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(launch.nvml, "snapshot", lambda: gpus(24, 24))
    workspace, chosen = make_workspace(tmp_path / "ws"), []

    def start(rundir, root, command=(), *, devices=(), **_):
        chosen.append((devices, take("train", rundir.id, devices)))

    monkeypatch.setattr(launch, "start_attempt", start)
    for _ in range(2):
        launch.launch(workspace, recipe())
    assert [devices for devices, _ in chosen] == [("gpu0",), ("gpu1",)]
    for _, descriptor in chosen:
        os.close(descriptor)


# -- names


def test_a_uuid_or_its_beginning_is_the_gpu_it_belongs_to():
    here = gpus(24, 24, 24)
    assert devices_used(here, "GPU-8f2d-bb") == ("gpu1",)
    assert devices_used(here, "gpu-03,0") == ("cpu",), "CUDA wants GPU- in capitals"
    assert visible_devices(here, "GPU-03,GPU-8F1,1") == ("gpu2", "gpu0", "gpu1")
    assert visible_devices(here, "GPU-03,GPU-8f") == ("gpu2",), "of two that begin so CUDA takes none"
    assert visible_devices(here, "GPU-ffff") == ("GPU-ffff",), "of no GPU that NVML knows"
    slices = (Gpu(0, "A", mig=0, uuid="MIG-5a"), Gpu(0, "A", mig=1, uuid="MIG-6b"))
    assert visible_devices(slices, "MIG-6b") == ("gpu0.mig1",)


def test_cuda_is_told_uuids_so_that_its_own_order_does_not_matter():
    here = gpus(24, 24, 24)
    assert variables_for(("gpu2",), here) == {"CUDA_VISIBLE_DEVICES": UUIDS[2]}
    assert variables_for(("gpu0", "gpu2"), here) == {"CUDA_VISIBLE_DEVICES": f"{UUIDS[0]},{UUIDS[2]}"}
    nameless = tuple(replace(gpu, uuid="") for gpu in here)
    assert variables_for(("gpu0", "gpu2"), nameless) == {
        "CUDA_VISIBLE_DEVICES": "0,2", "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }  # fmt: skip
    assert variables_for(("gpu0",), gpus(24)) == {}, "with one GPU nothing changes"
    assert variables_for(("cpu",), here) == variables_for(("GPU-ffff",), here) == {}


# -- whose GPU it is


def test_a_run_s_gpu_is_told_by_its_devices_and_else_by_its_process():
    mine = Gpu(2, "A", processes=(GpuProcess(42, "train"),))
    here = (Gpu(0, "A"), Gpu(1, "A"), mine)
    assert [gpu.index for gpu in gpus_of(("gpu1",), here, 42)] == [1]
    assert [gpu.index for gpu in gpus_of((), here, 42)] == [2]
    assert [gpu.index for gpu in gpus_of(("gpu0", "gpu1"), here)] == [0, 1]
    assert gpus_of(("cpu",), here, 42) == gpus_of((), here) == ()


def test_the_run_doctor_looks_at_the_run_s_gpu():
    here = (Gpu(0, "A", utilization=1), Gpu(1, "A", utilization=99))
    figures = examine._gpu_figures([here] * 3, ("gpu1",), None)
    assert figures.utilization == [99] * 3
    assert examine._gpu_figures([here], ("cpu",), None) is None
    assert examine._gpu_figures([here[:1]], None, None) is None, "it runs on another machine"
    assert examine._gpu_figures([here[:1]], (), None).utilization == [1]


@pytest.mark.parametrize("told", [None, 7, "gpu0", {"gpu0": 1}])
def test_a_damaged_record_names_no_device(told):
    assert devices_of({"devices": told}) == ()
    assert devices_of({"devices": ["\x1b[2Jgpu0", 7]})[1] == "7"
    assert "\x1b" not in devices_of({"devices": ["\x1b[2Jgpu0"]})[0]
