"""The choice of a few clips out of many: by their names, or spread over the classes."""

import difflib
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from ...utils.errors import UserError
from ...utils.foreign_text import printable
from ...utils.names import normal_form

_NEAR, _SHOWN = 3, 8


def clips_named(wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the numbers of the clips with these names, each once, in the order in which they are named.

    Raises:
        UserError: there is no clip of one of these names; the message has the most similar ones.
    """
    numbers = {name: number for number, name in enumerate(names)}
    unknown = [name for name in wanted if normal_form(name) not in numbers]
    if unknown:
        raise UserError("\n".join(_unknown(name, list(numbers), "clip") for name in unknown[:_SHOWN]))
    return list(dict.fromkeys(numbers[normal_form(name)] for name in wanted))


def clips_of_classes(wanted: Sequence[str], classes: Sequence[str], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of the clips of these classes.

    Raises:
        UserError: there is no class of one of these names.
    """
    unknown = [name for name in wanted if normal_form(name) not in classes]
    if unknown:
        raise UserError("\n".join(_unknown(name, classes, "class") for name in unknown[:_SHOWN]))
    return np.flatnonzero(np.isin(labels, [classes.index(normal_form(name)) for name in wanted]))


def spread_over_classes(labels: NDArray[np.int64], most: int) -> list[int]:
    """Return the numbers of at most `most` clips: as many of each class as possible, at equal distances, in order."""
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if most < len(groups):
        groups = [groups[place] for place in _equally_spaced(len(groups), most)]
    sizes = np.array([len(group) for group in groups], np.int64)
    share = next((each for each in range(1, most) if np.minimum(sizes, each).sum() >= most), most)
    rounds = zip_longest(*([int(group[place]) for place in _equally_spaced(len(group), share)] for group in groups))
    return sorted([number for each in rounds for number in each if number is not None][:most])


def _equally_spaced(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return [int(place) for place in (np.arange(most) * count) // most]


def _unknown(name: str, known: Sequence[str], what: str) -> str:
    near = difflib.get_close_matches(normal_form(name), known, n=_NEAR, cutoff=0.4)
    advice = f"The nearest: {', '.join(map(printable, near))}." if near else ""
    if not near and known:
        advice = f"There are {len(known):,}, such as {printable(known[0])}."
    return f"There is no {what} {printable(name)!r}. {advice}".strip()
