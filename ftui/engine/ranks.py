"""Several processes training one run: who is who, and the few things they tell each other.

Each has the whole model (of a base that is shared out a part, see `shards.py`) and takes its share of every
effective batch. Gradients are summed once an optimizer step, so all stay the same; what is decided by
circumstances (a stop, memory, a timed number format) is decided by all or by the first. With one process
everything here does nothing.

On GPUs tensors go through nccl, what concerns the host through gloo; without a GPU all of it through gloo.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

T = TypeVar("T")

# What the others wait for may be long (encoding, a download); that one of them has died is noticed otherwise.
_PATIENCE = timedelta(days=2)
_BUCKET = 1 << 25
# Where the first process of a run that ftui started listens: "host:port".
STORE = "FTUI_RANKS"


@dataclass(frozen=True, slots=True)
class Ranks:
    """number, count: this process of how many. local, locals: the same on this machine."""

    number: int = 0
    count: int = 1
    local: int = 0
    locals: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes events and checkpoints."""
        return self.number == 0

    def add(self, *tensors: torch.Tensor) -> None:
        """Sums each tensor over all processes, in place."""
        if self.count > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def add_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Sums the gradients over all processes; a process that had nothing to do adds zeros."""
        if self.count == 1:
            return
        for bucket in _buckets(parameters):
            for parameter in bucket:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            flat = torch.cat([parameter.grad.reshape(-1) for parameter in bucket])
            distributed.all_reduce(flat)
            parts = flat.split([parameter.numel() for parameter in bucket])
            for parameter, part in zip(bucket, parts, strict=True):
                parameter.grad.copy_(part.view_as(parameter))

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Whether each flag is set in any process."""
        if self.count == 1:
            return flags
        counts = torch.tensor(flags, dtype=torch.int32)
        distributed.all_reduce(counts)
        return tuple(bool(count) for count in counts.tolist())

    def same(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.count == 1:
            return value
        box: list[Any] = [value]
        distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def wait(self) -> None:
        """Until all have come here."""
        self.any(False)

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """The body in the first process, and after that in the others: they find what it has left on disk."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of a list: every count-th."""
        return items[self.number :: self.count]

    def leave(self) -> None:
        if distributed.is_initialized():
            distributed.destroy_process_group()


class LostPeer(Exception):
    """Another process of the run cannot be reached any more."""


def is_lost_peer(error: BaseException) -> bool:
    """Whether an exception says that another process of the run cannot be reached any more."""
    return isinstance(error, LostPeer | distributed.DistError) or "gloo/transport" in str(error)


def is_worker() -> bool:
    """Whether this process is one of several and not the first."""
    return int(os.environ.get("RANK", "0")) > 0


def from_environment() -> Ranks | None:
    """What torchrun, or the first process of the run, has told this one; None when it was started alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1 or "RANK" not in os.environ:
        return None
    number, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local = int(os.environ.get("LOCAL_RANK", number))
    return Ranks(number, count, local, int(os.environ.get("LOCAL_WORLD_SIZE", count)))


def listen(count: int) -> distributed.TCPStore:
    """Where the processes of this machine find each other; its port is a free one."""
    return distributed.TCPStore(
        "127.0.0.1", 0, count, is_master=True, wait_for_workers=False, timeout=_PATIENCE
    )


def join(ranks: Ranks, store: distributed.TCPStore | None = None) -> None:
    """Waits for the others. store: of the first process, when it has started them itself."""
    if not torch.cuda.is_available():
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // ranks.locals))
        backend = "gloo"
    else:
        torch.cuda.set_device(ranks.local % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    if store is None and STORE in os.environ:
        host, _, port = os.environ[STORE].rpartition(":")
        store = distributed.TCPStore(host, int(port), ranks.count, is_master=False, timeout=_PATIENCE)
    distributed.init_process_group(
        backend,
        init_method=None if store else "env://",
        store=store,
        rank=ranks.number,
        world_size=ranks.count,
        timeout=_PATIENCE,
    )


def _buckets(parameters: Sequence[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    bucket: list[torch.nn.Parameter] = []
    size = 0
    for parameter in parameters:
        same = not bucket or (parameter.dtype, parameter.device) == (bucket[0].dtype, bucket[0].device)
        if bucket and (size + parameter.numel() > _BUCKET or not same):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.numel()
    if bucket:
        yield bucket
