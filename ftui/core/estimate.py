"""What `core.memory` answers: bytes by part at the peak of a run, and what was in memory then."""

from __future__ import annotations

from dataclasses import dataclass

# Share of the memory that automatic choices plan with.
ROOM = 0.93


@dataclass(frozen=True, slots=True)
class Load:
    """In memory at once: `micro_batch` examples of `length` tokens (a pair has twice that), `checkpointed` blocks
    recomputed."""

    micro_batch: int
    length: int
    checkpointed: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes at the peak, by part. `logits` is what they add at that moment, not their size.

    method: "closed form" from config.json, or "counted" on fake tensors.
    fits: against the hardware's memory, None where that is unknown. quantized: share of all weights that are.
    """

    weights: int
    adapter: int
    optimizer: int
    gradients: int
    activations: int
    logits: int
    overhead: int
    load: Load
    trainable: int
    parameters: int
    quantized: float
    memory: int | None
    notes: tuple[str, ...] = ()
    method: str = "closed form"

    @property
    def parts(self) -> dict[str, int]:
        names = ("weights", "adapter", "optimizer", "gradients", "activations", "logits", "overhead")
        return {name: getattr(self, name) for name in names}

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    @property
    def checkpoint(self) -> int:
        """What a checkpoint takes on disk: the trained weights in fp32, and the optimizer's states."""
        return 4 * self.trainable + self.optimizer

    @property
    def allocated(self) -> int:
        """What torch counts as allocated at the peak: everything but the overhead."""
        return self.total - self.overhead

    @property
    def fits(self) -> bool | None:
        return None if self.memory is None else self.total <= self.memory

    @property
    def roomy(self) -> bool:
        """Fits with the room that an estimate's own error asks for; what the automatic choices aim at."""
        return self.memory is not None and self.total <= ROOM * self.memory
