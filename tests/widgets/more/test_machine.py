"""What this computer has, in words."""

from __future__ import annotations

from napari_sam.widgets.more.machine import Machine, this_machine

GIB = 1 << 30


def test_cards_and_their_absence_are_told():
    without = Machine(2, 8 * GIB, ())
    assert without.found == ("No graphics card for networks was found; they run on 2 processor cores, 8 GiB of memory.")
    assert "default model" in without.advice
    cards = Machine(16, 128 * GIB, (("NVIDIA H200", 139 * GIB), ("Apple GPU", None)))
    assert "NVIDIA H200 (139 GiB), Apple GPU; the computer has 16 processor cores, 128 GiB" in cards.found
    assert "Larger models" in cards.advice


def test_this_computer_has_cores_and_memory():
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.memory_bytes > GIB // 4
