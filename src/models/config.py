"""What every model family's configuration has in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..utils.errors import UserError

# What a list of whole numbers, one for each stage, may be.
STAGES = {"minimum": 1, "maximum": 4096, "lengths": (1, 2, 3, 4, 5, 6)}


@dataclass
class ModelConfig:
    """Name a model and the family whose code builds it; each family adds its own numbers."""

    name: str = ""
    family: str = ""


def check_stages(kernel_frames: int, **lists: Sequence[Any]) -> None:
    """Refuse sizes that make no network.

    Raises:
        UserError: the lists differ in length, or the temporal kernel has no middle.
    """
    lengths = {name: len(entries) for name, entries in lists.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise UserError(f"A model's lists need one entry for each stage, as many in one as in the other: {found}.")
    if kernel_frames % 2 == 0:
        raise UserError(f"kernel_frames: {kernel_frames} should be odd, so that a kernel has a middle frame.")
