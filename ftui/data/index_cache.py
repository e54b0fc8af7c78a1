"""The finished index of a large file, kept so that opening it again costs nothing. Disposable."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zlib
from array import array
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ftui import __version__
from ftui.data.journal import sidecar
from ftui.data.unpack import cache_folder

if TYPE_CHECKING:
    from ftui.data.facts import Facts
    from ftui.data.index import Index
    from ftui.data.source import Identity

_WORTH = 8 << 20  # bytes: a smaller file is indexed before anyone notices
_MAGIC = b"ftui index 1\n"


def save(path: Path, identity: Identity, index: Index, facts: Facts) -> None:
    """Keeps a complete index in the dataset's sidecar, or the user's cache where that cannot be written."""
    if identity.size < _WORTH:
        return
    arrays = [*index.arrays(), facts.codes]
    header = {
        "version": __version__,
        "identity": asdict(identity),
        "container": index.format.container,
        "start": index.format.start,
        "position": index.position,
        "names": facts.names,
        "sizes": [len(each) * each.itemsize for each in arrays],
        "byteorder": array("I", [1]).tobytes().hex(),
    }
    body = json.dumps(header).encode() + b"\n" + b"".join(each.tobytes() for each in arrays)
    for place in _places(path):
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=place.parent != sidecar(path), exist_ok=True)
            fd, name = tempfile.mkstemp(prefix="index-", suffix=".part", dir=place.parent)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(_MAGIC + b"%08x\n" % zlib.crc32(body) + body)
                Path(name).rename(place)
            except OSError:
                Path(name).unlink()
                raise
            return


def load(path: Path, identity: Identity, index: Index, facts: Facts) -> bool:
    """Fills an empty index and facts from the cache; False when there is none for this state of the file."""
    if identity.size < _WORTH:
        return False
    for place in _places(path):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            data = place.read_bytes()
            if not data.startswith(_MAGIC) or int(data[13:21], 16) != zlib.crc32(memoryview(data)[22:]):
                continue
            end = data.index(b"\n", 22)
            header = json.loads(data[22:end])
            same = header["identity"] == asdict(identity) and header["version"] == __version__
            order = header["byteorder"] == array("I", [1]).tobytes().hex()
            kind = (header["container"], header["start"]) == (index.format.container, index.format.start)
            if same and order and kind:
                at = end + 1
                for each, size in zip([*index.arrays(), facts.codes], header["sizes"], strict=True):
                    del each[:]
                    each.frombytes(data[at : at + size])
                    at += size
                index.position, index.complete = header["position"], True
                facts.names = header["names"]
                facts.recount()
                return True
    return False


def _places(path: Path) -> tuple[Path, Path]:
    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:24]
    return sidecar(path) / "index.bin", cache_folder() / "indexes" / f"{name}.bin"
