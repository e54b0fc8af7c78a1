"""GPU and host snapshots: whatever the driver does, the answer is a value."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pynvml
import pytest

from ftui.gpu import host, nvml
from ftui.gpu.nvml import Gpu, Reader

CODES = sorted(code for name, code in vars(pynvml).items() if name.startswith("NVML_ERROR_"))
GIB = 1 << 30


class FakeNvml:
    """A driver with two GPUs that raises on request; counts how often each function was called."""

    NVMLError = pynvml.NVMLError

    def __init__(self, count=2, mig=False):
        self.count, self.mig = count, mig
        self.fails: dict[str, int] = {}
        self.calls: dict[str, int] = {}

    def __getattr__(self, name):
        answer = object.__getattribute__(self, f"_{name}")

        def call(*arguments):
            self.calls[name] = self.calls.get(name, 0) + 1
            if name in self.fails:
                raise pynvml.NVMLError(self.fails[name])
            return answer(*arguments)

        return call

    def _nvmlInit(self): ...
    def _nvmlShutdown(self): ...
    def _nvmlDeviceGetCount(self):
        return self.count

    def _nvmlSystemGetDriverVersion(self):
        return "570.1"

    def _nvmlDeviceGetHandleByIndex(self, index):
        return f"gpu{index}"

    def _nvmlDeviceGetName(self, handle):
        return b"NVIDIA Test" if handle == "gpu0" else f"NVIDIA {handle}"

    def _nvmlDeviceGetMigMode(self, handle):
        if not self.mig:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [1, 1]

    def _nvmlDeviceGetMaxMigDeviceCount(self, handle):
        return 7

    def _nvmlDeviceGetMigDeviceHandleByIndex(self, handle, index):
        if index > 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return f"{handle}/slice{index}"

    def _nvmlDeviceGetMemoryInfo(self, handle, version=None):
        return SimpleNamespace(used=3 * GIB, total=24 * GIB)

    def _nvmlDeviceGetUtilizationRates(self, handle):
        if "/" in handle:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=97, memory=50)

    def _nvmlDeviceGetTemperature(self, handle, sensor):
        return 71

    def _nvmlDeviceGetPowerUsage(self, handle):
        return 250_500

    def _nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return 300_000

    def _nvmlDeviceGetCurrentClocksEventReasons(self, handle):
        return 0x04 | 0x40 | 0x01


FUNCTIONS = [name[1:] for name in vars(FakeNvml) if name.startswith("_nvml")]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(nvml, "_RETRY_SECONDS", 0.0)


def test_every_figure_is_read_in_plain_units():
    assert Reader(FakeNvml(count=1)).snapshot() == (
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
        ),
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_error_of_any_call_is_ever_raised_and_figures_come_back_when_it_passes(function):
    for code in CODES:
        driver = FakeNvml()
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
    driver = FakeNvml()
    reader = Reader(driver)
    for _ in range(5):
        reader.snapshot()
    assert driver.calls["nvmlInit"] == 1
    assert driver.calls["nvmlDeviceGetHandleByIndex"] == 2


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_UNINITIALIZED])
def test_a_lost_gpu_stays_listed_and_nvml_is_started_again(code):
    driver = FakeNvml()
    reader = Reader(driver)
    reader.snapshot()
    driver.fails["nvmlDeviceGetMemoryInfo"] = code
    assert [gpu.memory_used for gpu in reader.snapshot()] == [None, None]
    driver.fails.clear()
    assert [gpu.memory_used for gpu in reader.snapshot()] == [3 * GIB, 3 * GIB]
    assert driver.calls["nvmlInit"] == 2


def test_a_gpu_that_fell_off_the_bus_is_shown_without_figures():
    driver = FakeNvml()
    reader = Reader(driver)
    reader.snapshot()
    driver.count = 1
    driver.fails["nvmlDeviceGetPowerUsage"] = pynvml.NVML_ERROR_GPU_IS_LOST
    reader.snapshot()
    driver.fails.clear()
    first, second = reader.snapshot()
    assert first.power == 250.5
    assert second == Gpu(1, "NVIDIA gpu1")


def test_without_a_driver_there_is_no_gpu_and_one_that_comes_later_is_found():
    driver = FakeNvml()
    driver.fails = dict.fromkeys(FUNCTIONS, pynvml.NVML_ERROR_UNINITIALIZED)
    driver.fails["nvmlInit"] = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    reader = Reader(driver)
    assert reader.snapshot() == ()
    assert reader.driver() == ""
    driver.fails.clear()
    assert len(reader.snapshot()) == 2
    assert reader.driver() == "570.1"


def test_mig_slices_are_listed_with_what_they_have():
    gpus = Reader(FakeNvml(count=1, mig=True)).snapshot()
    assert [(gpu.index, gpu.mig, gpu.memory_total, gpu.utilization) for gpu in gpus] == [
        (0, 0, 24 * GIB, None),
        (0, 1, 24 * GIB, None),
    ]
    assert gpus[0].temperature == 71, "the board's"


def test_older_drivers_are_asked_the_older_way():
    driver = FakeNvml(count=1)
    driver.fails["nvmlDeviceGetCurrentClocksEventReasons"] = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    driver._nvmlDeviceGetCurrentClocksThrottleReasons = lambda handle: 0x80
    assert Reader(driver).snapshot()[0].throttle == ("power brake",)


def test_a_library_without_a_function_is_a_figure_less():
    class Old(FakeNvml):
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
    monkeypatch.setattr(host.shutil, "disk_usage", broken)
    assert host.snapshot(tmp_path) == host.HostSnapshot()
