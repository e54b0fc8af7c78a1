"""Files that are not rows of UTF-8 bytes as they lie: gz, zst, UTF-16/32, Parquet.

They are unpacked once, piece by piece as rows are asked for, into a file in the user's cache; offsets, search
and hashes then work on that one like on any other. The cached file is named after the source's identity, so a
changed source is unpacked again.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import os
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from ftui.core.errors import FtuiError
from ftui.data.source import read_exactly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ftui.data.source import Identity

_CHUNK = 256 * 1024
_OUT = 1 << 20
_PIECE = 4096  # a Zstandard block may unpack to 32,000 times its size


class Meter:
    """How much of the packed file has been used, and what was lost on the way."""

    def __init__(self, size: int) -> None:
        self.done = 0
        self.size = size
        self.losses: list[str] = []


def file_chunks(fd: int, path: Path, meter: Meter) -> Iterator[bytes]:
    """The file from its beginning."""
    at = 0
    while data := read_exactly(fd, at, _CHUNK, path):
        at += len(data)
        meter.done = at
        yield data


def gunzip(chunks: Iterator[bytes], meter: Meter) -> Iterator[bytes]:
    """Every member of a gzip stream; what can be had of a damaged one, the loss noted."""
    member: Any = None
    for chunk in chunks:
        data = chunk
        while data:
            if member is None:
                data = data.lstrip(b"\0")  # padding between members
                if not data:
                    break
            member = member or zlib.decompressobj(wbits=31)
            try:
                out = member.decompress(data, _OUT)
            except zlib.error as error:
                meter.losses.append(f"the gzip data is damaged: what follows is lost ({error})")
                return
            if out:
                yield out
            data = member.unused_data if member.eof else member.unconsumed_tail
            if member.eof:
                member = None
    if member is not None:
        meter.losses.append("the gzip data ends too early: what follows is lost")


def unzstd(chunks: Iterator[bytes], meter: Meter) -> Iterator[bytes]:
    """Every frame of a Zstandard stream; what can be had of a damaged one, the loss noted."""
    import zstandard

    factory = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    frame: Any = None
    for chunk in chunks:
        data = chunk
        while data:
            frame = frame or factory.decompressobj()
            piece, rest = data[:_PIECE], data[_PIECE:]
            try:
                out = frame.decompress(piece)
            except zstandard.ZstdError as error:
                meter.losses.append(f"the Zstandard data is damaged: what follows is lost ({error})")
                return
            if out:
                yield out
            data = frame.unused_data + rest if frame.eof else rest
            if frame.eof:
                frame = None
    if frame is not None:
        meter.losses.append("the Zstandard data ends too early: what follows is lost")


def transcode(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """UTF-16 or UTF-32 as UTF-8. A lone surrogate stays one, and makes its row a broken row."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="surrogatepass")
    for chunk in chunks:
        yield _decode(decoder, chunk, False)
    yield _decode(decoder, b"", True)


def _decode(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool) -> bytes:
    try:
        text = decoder.decode(chunk, final)
    except UnicodeDecodeError:  # a half character at the end, or a code point that does not exist
        decoder.errors = "replace"
        text = decoder.decode(chunk, final)
    return text.removeprefix("\ufeff").encode("utf-8", "surrogatepass")


def newlines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Old Macintosh line ends (\\r alone) as \\n."""
    for chunk in chunks:
        yield chunk.replace(b"\r", b"\n")


class UnpackedBytes:
    """The unpacked file in the cache, grown as far as anyone has read."""

    def __init__(
        self, path: Path, identity: Identity, kind: str, start: Callable[[], Iterator[bytes]], meter: Meter
    ) -> None:
        self._path = path
        self._meter = meter
        self._chunks: Iterator[bytes] | None = None
        self._size = 0
        place = cache_folder() / "unpacked"
        of_path = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]
        self._final = place / f"{of_path}-{_key(identity, kind)}"
        try:
            self._fd = os.open(self._final, os.O_RDONLY | os.O_CLOEXEC)
            self._size = os.fstat(self._fd).st_size
            meter.done = meter.size
            return
        except OSError:
            self._chunks = start()
        try:
            place.mkdir(parents=True, exist_ok=True)
            for old in place.glob(f"{of_path}-*"):  # of an earlier state of the same file
                with contextlib.suppress(OSError):
                    old.unlink()
            self._fd, name = tempfile.mkstemp(prefix=f"{of_path}-", suffix=".part", dir=place)
            self._part: Path | None = Path(name)
        except OSError as error:
            raise _no_cache(error, place) from None

    def read(self, offset: int, count: int) -> bytes:
        while self._chunks is not None and self._size < offset + count:
            self._more()
        return read_exactly(self._fd, offset, count, self._final)

    def ended(self, offset: int) -> bool:
        while self._chunks is not None and self._size <= offset:
            self._more()
        return offset >= self._size

    def progress(self, offset: int) -> tuple[int, int]:
        return self._meter.done if offset < self._size or self._chunks else self._meter.size, self._meter.size

    def close(self) -> None:
        self._chunks = None
        os.close(self._fd)
        if part := getattr(self, "_part", None):
            with contextlib.suppress(OSError):
                part.unlink()

    def _more(self) -> None:
        assert self._chunks is not None
        chunk = next(self._chunks, None)
        try:
            if chunk is None:
                self._finish()
                return
            written = 0
            while written < len(chunk):
                written += os.pwrite(self._fd, chunk[written:], self._size + written)
        except OSError as error:
            raise _no_cache(error, self._final.parent) from None
        self._size += len(chunk)

    def _finish(self) -> None:
        self._chunks = None
        if self._part and not self._meter.losses:  # a damaged file is unpacked, and its loss told, every time
            self._part.rename(self._final)
            self._part = None


def cache_folder() -> Path:
    """Where what can be made again is kept: $XDG_CACHE_HOME/ftui or the platform's like."""
    return platformdirs.user_cache_path("ftui")


def _key(identity: Identity, kind: str) -> str:
    text = f"1 {kind} {identity.size} {identity.mtime_ns} {identity.inode} {identity.ends}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _no_cache(error: OSError, place: Path) -> FtuiError:
    return FtuiError(
        f"cannot unpack the file: {error.strerror}",
        "free some space, or set XDG_CACHE_HOME to a larger disk",
        str(place),
    )
