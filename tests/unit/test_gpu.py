"""GPU and host snapshots: whatever the driver does, the answer is a value."""

from __future__ import annotations

import psutil
import pynvml
import pytest

from ftui.gpu import host, nvml
from ftui.gpu.nvml import Gpu, Reader
from ftui.gpu.processes import OTHER, GpuProcess
from tests.scripted_nvml import CODES, FUNCTIONS, GIB, ScriptedNvml


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(nvml, "_RETRY_SECONDS", 0.0)


def test_every_figure_is_read_in_plain_units():
    assert Reader(ScriptedNvml(count=1)).snapshot() == (
        Gpu(
            index=0,
            name="NVIDIA Test",
            memory_used=3 * GIB,
            memory_total=24 * GIB,
            utilization=97,
            temperature=71,
            power=250.5,
            power_limit=300.0,
            throttle=("too hot (hardware)",),
            power_capped=True,
            processes=(GpuProcess(2**22 - 5, OTHER, 2 * GIB), GpuProcess(1, OTHER, GIB)),
            uuid="GPU-gpu0-11aa",
        ),
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_error_of_any_call_is_ever_raised_and_figures_come_back_when_it_passes(function):
    for code in CODES:
        driver = ScriptedNvml()
        reader = Reader(driver)
        whole = reader.snapshot()
        driver.fails[function] = code
        for _ in range(2):
            gpus = reader.snapshot()
            assert [gpu.index for gpu in gpus] == [0, 1], (function, code)
            reader.driver()
        broken = Reader(driver)
        for gpu in broken.snapshot():
            assert gpu.name
        driver.fails.clear()
        assert reader.snapshot() == whole, (function, code)
        assert len(broken.snapshot()) == 2, (function, code)


def test_handles_are_kept_between_snapshots():
    driver = ScriptedNvml()
    reader = Reader(driver)
    for _ in range(5):
        reader.snapshot()
    assert driver.calls["nvmlInit"] == 1
    assert driver.calls["nvmlDeviceGetHandleByIndex"] == 2


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_UNINITIALIZED])
def test_a_lost_gpu_stays_listed_and_nvml_is_started_again(code):
    driver = ScriptedNvml()
    reader = Reader(driver)
    reader.snapshot()
    driver.fails["nvmlDeviceGetMemoryInfo"] = code
    assert [gpu.memory_used for gpu in reader.snapshot()] == [None, None]
    driver.fails.clear()
    assert [gpu.memory_used for gpu in reader.snapshot()] == [3 * GIB, 3 * GIB]
    assert driver.calls["nvmlInit"] == 2


def test_a_gpu_that_fell_off_the_bus_is_shown_without_figures():
    driver = ScriptedNvml()
    reader = Reader(driver)
    reader.snapshot()
    driver.count = 1
    driver.fails["nvmlDeviceGetPowerUsage"] = pynvml.NVML_ERROR_GPU_IS_LOST
    reader.snapshot()
    driver.fails.clear()
    first, second = reader.snapshot()
    assert first.power == 250.5
    assert second == Gpu(1, "NVIDIA gpu1", uuid="GPU-gpu1-11aa")


def test_without_a_driver_there_is_no_gpu_and_one_that_comes_later_is_found():
    driver = ScriptedNvml()
    driver.fails = dict.fromkeys(FUNCTIONS, pynvml.NVML_ERROR_UNINITIALIZED)
    driver.fails["nvmlInit"] = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    reader = Reader(driver)
    assert reader.snapshot() == ()
    assert reader.driver() == ""
    driver.fails.clear()
    assert len(reader.snapshot()) == 2
    assert reader.driver() == "570.1"


def test_mig_slices_are_listed_with_what_they_have():
    gpus = Reader(ScriptedNvml(count=1, mig=True)).snapshot()
    assert [(gpu.index, gpu.mig, gpu.memory_total, gpu.utilization) for gpu in gpus] == [
        (0, 0, 24 * GIB, None),
        (0, 1, 24 * GIB, None),
    ]
    assert [gpu.uuid for gpu in gpus] == ["MIG-gpu0-slice0-11aa", "MIG-gpu0-slice1-11aa"]
    assert gpus[0].temperature == 71, "the board's"


def test_older_drivers_are_asked_the_older_way():
    driver = ScriptedNvml(count=1)
    driver.fails["nvmlDeviceGetCurrentClocksEventReasons"] = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    driver.says["nvmlDeviceGetCurrentClocksThrottleReasons"] = 0x80
    assert Reader(driver).snapshot()[0].throttle == ("power brake",)


def test_a_library_without_a_function_is_a_figure_less():
    class Old(ScriptedNvml):
        _nvmlDeviceGetEnforcedPowerLimit = property()

    assert Reader(Old(count=1)).snapshot()[0].power_limit is None


def test_this_machine_can_be_asked():
    assert all(isinstance(gpu, Gpu) for gpu in nvml.snapshot())
    assert isinstance(nvml.driver(), str)


def test_the_host_tells_its_figures_for_a_folder_that_is_yet_to_be(tmp_path):
    figures = host.snapshot(tmp_path / "not" / "there")
    assert 0 < figures.memory_used <= figures.memory_total
    assert figures.disk_free > 0


def test_a_host_that_tells_nothing_is_all_none(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise psutil.AccessDenied

    def broken(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(psutil, "virtual_memory", refuse)
    monkeypatch.setattr(psutil, "cpu_percent", refuse)
    monkeypatch.setattr(psutil, "swap_memory", refuse)
    monkeypatch.setattr(host.shutil, "disk_usage", broken)
    assert host.snapshot(tmp_path) == host.HostSnapshot()
