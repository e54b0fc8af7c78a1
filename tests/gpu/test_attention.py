"""On a GPU: the variable-length kernel keeps documents apart, as one call a document does."""

from __future__ import annotations

import pytest
import torch

from ftui.engine.attention import attention

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("window", [None, 16])
def test_the_kernel_gives_what_each_document_gives_alone(window):
    torch.manual_seed(0)
    lengths = [5, 64, 33]
    query = torch.randn(1, 8, sum(lengths), 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    key, value = (torch.randn(1, 2, sum(lengths), 64, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    ends = torch.tensor([0, *lengths], device="cuda").cumsum(0, dtype=torch.int32)
    options = {
        "scaling": 0.125,
        "sliding_window": window,
        "cu_seq_lens_q": ends,
        "max_length_q": max(lengths),
    }
    kernel, _ = attention(torch.nn.Module(), query, key, value, None, **options)
    exact, _ = attention(torch.nn.Module(), query.float(), key.float(), value.float(), None, **options)
    assert torch.allclose(kernel.float(), exact, atol=2e-2)
    (gradient,) = torch.autograd.grad(kernel.float().square().sum(), query, retain_graph=True)
    (expected,) = torch.autograd.grad(exact.square().sum(), query)
    assert float((gradient.float() - expected.float()).norm()) <= 0.03 * float(expected.float().norm())
