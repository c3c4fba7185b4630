"""The parts of a body that a layout names: where is up, left and forward, which decides what can be checked.

A layout of people or of animals calls its joints hip, shoulder, foot and so on, with the side in front. One that does
not, such as that of a hand, has no such directions.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..skeleton import Layout

Pairs = tuple[tuple[int, int], ...]

# What is in front of what in a standing person, by the words in the names of joints. A foot is in front of its ankle,
# a bent knee in front of the line from hip to ankle (see `knees`), a nose in front of the ears.
_FORWARD = (
    ("nose", "ear"), ("nose", "head"), ("nose", "neck"), ("eye", "ear"), ("foot", "ankle"), ("big_toe", "heel"),
    ("foot_index", "heel"), ("big_toe", "ankle"),
)  # fmt: skip
_KNEE_ENDS = ("ankle", "foot")
_ANIMAL = "paw"


@dataclass(frozen=True)
class Anatomy:
    """Joints of a layout by their meaning.

    Attributes:
        hips, shoulders: their left and right joint; None if the layout does not name them.
        forward: pairs of joints of which the second is in front of the first.
        knees: a hip, knee and ankle on each side; a knee is in front of the line between the others.
        across: (left, right) pairs whose right joint shows the direction of a person's right side.
        bones: (B, 2) child and parent of each bone.
        mirrored: the joint that replaces each joint in a mirror image.
        sided: the joints with a side.
        flat: whether there are two coordinates, with y down.
    """

    hips: tuple[int, int] | None
    shoulders: tuple[int, int] | None
    forward: Pairs
    knees: tuple[tuple[int, int, int], ...]
    across: Pairs
    bones: NDArray[np.int64]
    mirrored: NDArray[np.int64]
    sided: NDArray[np.int64]
    flat: bool

    @property
    def is_upright(self) -> bool:
        """Whether the direction from hips to shoulders is up in a standing body."""
        return self.hips is not None and self.shoulders is not None

    @property
    def has_front(self) -> bool:
        """Whether joints show where the front of a body is, beside its left and right."""
        return self.is_upright and not self.flat and bool(self.forward or self.knees)


def anatomy_of(layout: Layout) -> Anatomy:
    """Return the joints of a layout by their meaning, which their names tell."""
    numbers = {name: number for number, name in enumerate(layout.joints)}
    people = not any(_ANIMAL in name for name in layout.joints)
    hips, shoulders = (_sides(numbers, part) if people else None for part in ("hip", "shoulder"))
    sided = sorted({joint for pair in layout.mirror for joint in pair})
    return Anatomy(
        hips=hips,
        shoulders=shoulders,
        forward=_forward(layout) if people else (),
        knees=_knees(numbers) if people else (),
        across=tuple(pair for pair in (hips, shoulders) if pair is not None),
        bones=np.array(layout.bones, np.int64).reshape(-1, 2),
        mirrored=np.array(layout.mirrored, np.int64),
        sided=np.array(sided, np.int64),
        flat=layout.flat,
    )


def _sides(numbers: dict[str, int], part: str) -> tuple[int, int] | None:
    left, right = numbers.get(f"left_{part}"), numbers.get(f"right_{part}")
    return None if left is None or right is None else (left, right)


def _knees(numbers: dict[str, int]) -> tuple[tuple[int, int, int], ...]:
    found = []
    for side in ("left", "right"):
        hip, knee = numbers.get(f"{side}_hip"), numbers.get(f"{side}_knee")
        end = next((numbers[f"{side}_{part}"] for part in _KNEE_ENDS if f"{side}_{part}" in numbers), None)
        if hip is not None and knee is not None and end is not None:
            found.append((hip, knee, end))
    return tuple(found)


def _forward(layout: Layout) -> Pairs:
    """Return pairs (back, front) of joints of the same side; a joint of the middle is paired with those of both."""
    numbers = {name: number for number, name in enumerate(layout.joints)}
    prefixes = [(first, second) for first, second in product(("left_", "right_", ""), repeat=2)
                if {first, second} != {"left_", "right_"}]  # fmt: skip
    named = [(f"{second}{back}", f"{first}{front}") for front, back in _FORWARD for first, second in prefixes]
    return tuple((numbers[back], numbers[front]) for back, front in named if back in numbers and front in numbers)
