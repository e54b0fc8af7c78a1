"""What torch can do here: `python -m ftui.engine.probe` prints one JSON object and ends.

A process of its own, so that `ftui doctor` tells a broken installation from inside a working program.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import Any


def probe() -> dict[str, Any]:
    """{torch, cuda, devices[{name, capability, memory}], bf16, bitsandbytes{ok, message}, flash_attention}.

    cuda: the CUDA version torch was built for, "" for none. bf16: whether bfloat16 is native, not emulated.
    Raises ImportError where torch does not load.
    """
    import torch

    devices = [
        {
            "name": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "memory": properties.total_memory,
        }
        for properties in map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    ]
    if devices:
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # bf16 runs on any processor, but without these instructions 15 to 50 times slower than fp32.
        bf16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda or torch.version.hip or "",
        "devices": devices,
        "bf16": bf16,
        "bitsandbytes": _bitsandbytes(torch, "cuda" if devices else "cpu"),
        "flash_attention": importlib.util.find_spec("flash_attn") is not None,
    }


def _bitsandbytes(torch: Any, device: str) -> dict[str, Any]:
    """Quantizes a small matrix to NF4 and back: the only proof that its native library fits this machine."""
    try:
        from bitsandbytes import functional

        weights = torch.linspace(-1, 1, 4096, device=device).reshape(64, 64)
        packed, state = functional.quantize_4bit(weights, quant_type="nf4")
        error = (functional.dequantize_4bit(packed, state) - weights).abs().max().item()
    except Exception as failure:  # noqa: BLE001 (a native library may fail in any way; the answer is that it did)
        return {"ok": False, "message": f"{type(failure).__name__}: {failure}".splitlines()[0][:300]}
    if error > 0.2:
        return {"ok": False, "message": f"NF4 gives wrong numbers: off by {error:.2f} in a range of 2"}
    return {"ok": True, "message": ""}


def main() -> int:
    # stdout carries the answer only, whatever a library prints while it loads.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        result = probe()
    except (ImportError, OSError, RuntimeError) as failure:
        result = {"error": f"{type(failure).__name__}: {failure}".splitlines()[0][:300]}
    with answer:
        json.dump(result, answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
