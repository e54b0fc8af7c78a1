"""Reads what a GGUF file says about itself: metadata, tensor table, and tensors as float32.

The `gguf` package's own reader builds a numpy view a vocabulary entry (seconds for 50k tokens); this one
walks the same bytes with `struct`. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
# Type number -> struct code: u8 i8 u16 i16 u32 i32 f32 bool u64 i64 f64.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One entry of the tensor table. `shape` is in torch's order; `offset` counts from the data section."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A parsed header. `metadata` holds every key, arrays as lists; `data_start` is where tensors begin."""

    path: Path
    metadata: dict[str, Any]
    tensors: tuple[GgufTensor, ...]
    data_start: int

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    def float32(self, tensor: GgufTensor) -> np.ndarray:
        """The dequantised values of `tensor`, in its shape. Raises FtuiError when the file is cut short."""
        import numpy as np
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
        from gguf.quants import dequantize

        kind = GGMLQuantizationType(tensor.kind)
        block, block_bytes = GGML_QUANT_SIZES[kind]
        size = prod(tensor.shape) // block * block_bytes
        start = self.data_start + tensor.offset
        if start + size > self.path.stat().st_size:
            raise FtuiError(
                f"the GGUF file ends inside tensor {tensor.name}", "download it again", str(self.path)
            )
        raw = np.fromfile(self.path, dtype=np.uint8, count=size, offset=start)
        rows = raw.reshape(-1, tensor.shape[-1] // block * block_bytes)
        if kind == GGMLQuantizationType.F32:
            return raw.view(np.float32).reshape(tensor.shape)
        if kind == GGMLQuantizationType.F16:
            return raw.view(np.float16).astype(np.float32).reshape(tensor.shape)
        return dequantize(rows, kind).astype(np.float32, copy=False).reshape(tensor.shape)


def read_gguf(path: Path) -> GgufFile:
    """The header of the GGUF file at `path`. Raises FtuiError when it is none, is cut short or too new."""
    try:
        with path.open("rb") as file:
            return _Parser(path, _head(file.read(4), path, file)).parse()
    except OSError as error:
        raise FtuiError(f"cannot read the GGUF file: {error.strerror}", "", str(path)) from None
    except (struct.error, UnicodeDecodeError, IndexError, MemoryError, OverflowError):
        raise FtuiError(
            "the GGUF header is damaged or cut short", "download the file again", str(path)
        ) from None


def _head(magic: bytes, path: Path, file: Any) -> memoryview:
    import mmap

    if magic != _MAGIC:
        raise FtuiError(
            "not a GGUF file: it does not start with the GGUF mark", "download it again", str(path)
        )
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class _Parser:
    """Walks the header once; `pos` is the byte being read. All integers are little-endian."""

    def __init__(self, path: Path, data: memoryview) -> None:
        self.path = path
        self.data = data
        self.pos = 4

    def parse(self) -> GgufFile:
        version = self.scalar("I")
        if version not in _VERSIONS:
            raise FtuiError(
                f"GGUF version {version} is not supported", "convert it to version 3", str(self.path)
            )
        tensor_count, key_count = self.scalar("Q"), self.scalar("Q")
        metadata = {self.string(): self.value(self.scalar("I")) for _ in range(key_count)}
        tensors = tuple(self.tensor() for _ in range(tensor_count))
        alignment = int(metadata.get("general.alignment", 32))
        start = -(-self.pos // alignment) * alignment
        return GgufFile(self.path, metadata, tensors, start)

    def scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self.data, self.pos)
        self.pos += struct.calcsize("<" + code)
        return value

    def string(self) -> str:
        length = self.scalar("Q")
        end = self.pos + length
        if end > len(self.data):
            raise IndexError
        text = bytes(self.data[self.pos : end]).decode("utf-8")
        self.pos = end
        return text

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            element, count = self.scalar("I"), self.scalar("Q")
            if element in _SCALARS:
                values = struct.unpack_from(f"<{count}{_SCALARS[element]}", self.data, self.pos)
                self.pos += struct.calcsize(f"<{count}{_SCALARS[element]}")
                return list(values)
            return [self.value(element) for _ in range(count)]
        if kind not in _SCALARS:
            raise IndexError
        return self.scalar(_SCALARS[kind])

    def tensor(self) -> GgufTensor:
        name = self.string()
        dims = [self.scalar("Q") for _ in range(self.scalar("I"))]
        kind, offset = self.scalar("I"), self.scalar("Q")
        return GgufTensor(name, tuple(reversed(dims)), kind, offset)
