"""The real driver: every figure that a data-centre GPU has is there, in the units promised."""

import os
import subprocess
import sys

import pytest

from ftui.gpu import nvml
from ftui.gpu.processes import OTHER
from tests.scripted_nvml import CODES, FUNCTIONS, RAISED, SAID, assert_plausible

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not nvml.snapshot(), reason="no NVIDIA driver")]


class Troubled:
    """The real driver, with errors and answers of a test's in place of some of its own."""

    def __init__(self):
        import pynvml

        self._real = pynvml
        self.says = {}

    def __getattr__(self, name):
        if name not in self.says:
            return getattr(self._real, name)

        def call(*_):
            if isinstance(self.says[name], BaseException):
                raise self.says[name]
            return self.says[name]

        return call


def test_the_real_gpus_tell_plausible_figures():
    for gpu in nvml.snapshot():
        assert gpu.name
        if gpu.memory_total is not None:
            assert 0 <= gpu.memory_used <= gpu.memory_total
            assert gpu.memory_total > 1 << 28
        assert gpu.utilization is None or 0 <= gpu.utilization <= 100
        assert gpu.temperature is None or 0 < gpu.temperature < 120
        assert gpu.power is None or 0 < gpu.power < 3000
        assert gpu.uuid[:4] in ("GPU-", "MIG-")
    assert nvml.driver()


def test_cuda_takes_the_name_that_the_driver_tells():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch does not reach the GPU")
    code = "import torch; print(torch.cuda.device_count(), torch.cuda.get_device_name(0))"
    for gpu in nvml.snapshot():
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": gpu.uuid},
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        count, name = done.stdout.strip().split(" ", 1)
        assert count == "1"
        assert gpu.mig is not None or name == gpu.name


def test_a_second_snapshot_reuses_the_handles():
    reader = nvml.Reader()
    first, second = reader.snapshot(), reader.snapshot()
    assert [(gpu.index, gpu.name) for gpu in first] == [(gpu.index, gpu.name) for gpu in second]


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if name != "nvmlInit"])
def test_no_trouble_of_any_call_is_ever_raised_and_figures_come_back_when_it_passes(function, monkeypatch):
    import pynvml

    monkeypatch.setattr(nvml, "_RETRY_SECONDS", 0.0)
    driver = Troubled()
    reader = nvml.Reader(driver)
    whole = reader.snapshot()
    said = (
        [] if "Handle" in function else SAID
    )  # the real library would follow a made-up handle into the void
    for trouble in (*map(pynvml.NVMLError, CODES), *RAISED, *said):
        driver.says[function] = trouble
        for _ in range(2):
            for gpu in reader.snapshot():
                assert_plausible(gpu)
            reader.driver()
        driver.says.clear()
        reader.snapshot()
        again = reader.snapshot()
        assert [(gpu.index, gpu.name, gpu.memory_total) for gpu in again] == [
            (gpu.index, gpu.name, gpu.memory_total) for gpu in whole
        ], trouble


def test_a_process_that_holds_memory_is_listed_with_it():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch does not reach the GPU")
    held = torch.ones(64 << 20, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    processes = [process for gpu in nvml.snapshot() for process in gpu.processes]
    mine = [process for process in processes if process.pid == os.getpid() and process.name != OTHER]
    strangers = [process for process in processes if process.name == OTHER]
    assert mine or strangers, "in a container it may be listed by the host's number"
    for process in mine:
        assert process.memory is None or process.memory >= held.numel()
