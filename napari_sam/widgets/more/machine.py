"""What this computer has for networks: processor cores, memory and graphics cards."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

_GIB = 1 << 30


@dataclass(frozen=True)
class Machine:
    """Parts of the computer that networks use.

    Attributes
    ----------
    cores : int
        Processor cores that this process may use.
    memory_bytes : int
        Main memory.
    accelerators : tuple of (str, int or None)
        Name and memory in bytes of each graphics card, None where it shares the main memory.
    """

    cores: int
    memory_bytes: int
    accelerators: tuple[tuple[str, int | None], ...]

    @property
    def found(self) -> str:
        """What was found, as a sentence."""
        rest = f"{self.cores} processor cores, {self.memory_bytes / _GIB:.0f} GiB of memory"
        if not self.accelerators:
            return f"No graphics card for networks was found; they run on {rest}."
        cards = ", ".join(f"{name} ({b / _GIB:.0f} GiB)" if b else name for name, b in self.accelerators)
        return f"Networks run on {cards}; the computer has {rest}."

    @property
    def advice(self) -> str:
        """What follows for the choice of a model."""
        if self.accelerators:
            return "Larger models answer quickly here, too."
        return (
            "The default model is made for this. Larger ones answer more slowly: on two cores of a Xeon with AMX, "
            "vit_b takes 2.2 s for a window, the default model 34 ms."
        )


def this_machine() -> Machine:
    """Look at this computer; with an NVIDIA card this takes a moment, as it starts CUDA."""
    import torch  # noqa: PLC0415 - slow to import; the class is read in the GUI thread

    cards: list[tuple[str, int | None]] = []
    if torch.cuda.is_available():
        properties = (torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count()))
        cards = [(card.name, int(card.total_memory)) for card in properties]
    elif torch.backends.mps.is_available():
        cards = [("Apple GPU", None)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(cores, int(psutil.virtual_memory().total), tuple(cards))
