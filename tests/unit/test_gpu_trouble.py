"""A driver in trouble: whatever it raises or says, a figure is a plausible number or "n/a", and nobody waits."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pynvml
import pytest

from ftui.gpu import nvml
from ftui.gpu.latest import Latest
from ftui.gpu.nvml import Gpu, Reader
from ftui.gpu.processes import OTHER, GpuProcess, process_name, read_processes
from tests.runs_support import until
from tests.scripted_nvml import CODES, FUNCTIONS, GIB, RAISED, SAID, ScriptedNvml, assert_plausible


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(nvml, "_RETRY_SECONDS", 0.0)


@pytest.mark.parametrize("mig", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_whatever_a_call_says_every_figure_is_plausible_or_not_there(function, mig):
    for answer in (*SAID, *RAISED):
        for driver in (ScriptedNvml(mig=mig), broken_from_the_start := ScriptedNvml(mig=mig)):
            reader = Reader(driver)
            if driver is not broken_from_the_start:
                reader.snapshot()
            driver.says[function] = answer
            for _ in range(2):
                gpus = reader.snapshot()
                assert len(gpus) <= 64 * 16
                for gpu in gpus:
                    assert_plausible(gpu)
                assert isinstance(reader.driver(), str)


@pytest.mark.parametrize("code", CODES)
def test_a_driver_that_fails_at_everything_is_no_gpu_and_comes_back(code):
    driver = ScriptedNvml()
    reader = Reader(driver)
    whole = reader.snapshot()
    driver.fails = dict.fromkeys(FUNCTIONS, code)
    for _ in range(3):
        for gpu in reader.snapshot():
            assert_plausible(gpu)
            assert gpu.memory_used is gpu.utilization is gpu.temperature is gpu.power is None
    driver.fails = {}
    until(lambda: reader.snapshot() == whole)


def test_a_reloaded_driver_is_asked_with_new_handles():
    driver = ScriptedNvml()
    reader = Reader(driver)
    reader.snapshot()
    old = {"gpu0", "gpu1"}

    def only_new(handle, *_):
        if handle in old:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        return SimpleNamespace(used=GIB, total=8 * GIB)

    driver._nvmlDeviceGetMemoryInfo = only_new
    driver._nvmlDeviceGetHandleByIndex = lambda index: f"again{index}"
    assert [gpu.memory_used for gpu in reader.snapshot()] == [None, None]
    assert [gpu.memory_used for gpu in reader.snapshot()] == [GIB, GIB]


def test_memory_shared_with_the_host_is_not_told_and_the_rest_is():
    driver = ScriptedNvml(count=1)
    driver.fails["nvmlDeviceGetMemoryInfo"] = pynvml.NVML_ERROR_NOT_SUPPORTED
    (gpu,) = Reader(driver).snapshot()
    assert (gpu.memory_used, gpu.memory_total, gpu.temperature) == (None, None, 71)
    assert driver.calls["nvmlInit"] == 1


def records(*pairs):
    return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in pairs]


def test_processes_are_told_once_with_most_memory_first():
    driver = ScriptedNvml(count=1)
    driver.says["nvmlDeviceGetComputeRunningProcesses"] = records((4194299, 5), (4194298, 9), (4194297, None))
    driver.says["nvmlDeviceGetGraphicsRunningProcesses"] = records((4194299, 6), (4194297, 2**64 - 1))
    (gpu,) = Reader(driver).snapshot()
    assert gpu.processes == (
        GpuProcess(4194298, OTHER, 9),
        GpuProcess(4194299, OTHER, 6),
        GpuProcess(4194297, OTHER, None),
    )


def test_older_drivers_are_asked_for_processes_the_older_way():
    driver = ScriptedNvml(count=1)
    driver.says["nvmlDeviceGetComputeRunningProcesses"] = pynvml.NVMLLibraryMismatchError("too old")
    driver._nvmlDeviceGetComputeRunningProcesses_v2 = lambda handle: records((4194299, 5))
    assert Reader(driver).snapshot()[0].processes == (GpuProcess(4194299, OTHER, 5),)


def make_process(proc, pid, comm, *cmdline, opens="/dev/nvidia0"):
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "fd" / "3").symlink_to(opens)
    (proc / str(pid) / "stat").write_bytes(b"%d (%b) S %b" % (pid, comm, b"1 " * 40))
    (proc / str(pid) / "comm").write_bytes(comm + b"\n")
    (proc / str(pid) / "cmdline").write_bytes(b"".join(word + b"\0" for word in cmdline))


@pytest.mark.parametrize(
    ("comm", "cmdline", "name"),
    [
        (b"python3", [b"python3", b"-P", b"-m", b"ftui.engine.train", b"/runs/one"], "ftui.engine.train"),
        (b"python", [b"/usr/bin/python", b"-u", b"/srv/serve.py", b"--port", b"1"], "serve.py"),
        (b"python", [b"python", b"-c", b"import torch"], "python"),
        (b"python", [b"python"], "python"),
        (b"python", [], "python"),
        (b"python", [b"python", b"-m"], "python"),
        (b"Xorg", [b"/usr/lib/Xorg", b":0"], "Xorg"),
        (b"\xff\xfe", [b"x"], "\ufffd\ufffd"),
        (b"", [], OTHER),
    ],
)
def test_a_process_is_named_for_the_program_it_runs(tmp_path, comm, cmdline, name):
    make_process(tmp_path, 7, comm, *cmdline)
    assert process_name(7, tmp_path) == name


def test_a_pid_of_another_container_is_not_taken_for_our_process_of_that_number(tmp_path):
    make_process(tmp_path, 7, b"sshd", b"sshd", opens="/dev/null")
    assert process_name(7, tmp_path) == OTHER
    assert process_name(8, tmp_path) == OTHER
    assert process_name(1) == OTHER, "the first process of this machine uses no GPU"


def test_a_list_of_processes_without_end_is_cut(tmp_path):
    assert len(read_processes(records(*((4_000_000 + number, 1) for number in range(5000))))) <= 256
    assert read_processes(None) == read_processes(3) == ()


def test_a_driver_that_hangs_stalls_nobody_and_questions_do_not_queue_up():
    asked, release = [], threading.Event()
    threads = threading.active_count()

    def ask():
        asked.append(1)
        if len(asked) > 1:
            release.wait()
        return (Gpu(0, "NVIDIA Test", 3 * GIB, 24 * GIB),)

    latest = Latest(ask, wait_seconds=120.0)
    whole = latest.snapshot()
    assert whole[0].memory_used == 3 * GIB
    latest = Latest(ask, wait_seconds=0.0, old_seconds=0.0)
    latest._known = whole
    try:
        for _ in range(100):
            shown = latest.snapshot()
        assert asked == [1, 1], "one question at a time"
        assert threading.active_count() <= threads + 1
        assert shown == (Gpu(0, "NVIDIA Test"),), "what is old is not shown as true"
    finally:
        release.set()
    until(lambda: latest.snapshot() == whole)


def test_a_question_that_breaks_is_no_gpu_and_is_asked_again(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda told: None)
    answers = [ZeroDivisionError(), (Gpu(0, "NVIDIA Test"),)]

    def ask():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    latest = Latest(ask, wait_seconds=120.0)
    assert latest.snapshot() == ()
    assert latest.snapshot() == (Gpu(0, "NVIDIA Test"),)
