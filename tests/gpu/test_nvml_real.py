"""The real driver: every figure that a data-centre GPU has is there, in the units promised."""

import pytest

from ftui.gpu import nvml

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not nvml.snapshot(), reason="no NVIDIA driver")]


def test_the_real_gpus_tell_plausible_figures():
    for gpu in nvml.snapshot():
        assert gpu.name
        if gpu.memory_total is not None:
            assert 0 <= gpu.memory_used <= gpu.memory_total
            assert gpu.memory_total > 1 << 28
        assert gpu.utilization is None or 0 <= gpu.utilization <= 100
        assert gpu.temperature is None or 0 < gpu.temperature < 120
        assert gpu.power is None or 0 < gpu.power < 3000
    assert nvml.driver()


def test_a_second_snapshot_reuses_the_handles():
    reader = nvml.Reader()
    first, second = reader.snapshot(), reader.snapshot()
    assert [(gpu.index, gpu.name) for gpu in first] == [(gpu.index, gpu.name) for gpu in second]
