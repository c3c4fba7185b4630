"""Arrays from nested lists of a client, of which nothing is known.

Legend: M bodies, F frames, V joints, C coordinates.
"""

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..utils.errors import UserError

_NUMBERS = {int, float, type(None)}


def array_of(nested: list[Any], ranks: Sequence[int], tail: tuple[int, ...], most: tuple[int, ...]) -> NDArray[Any]:
    """Return nested lists as an array of float64; null becomes NaN, in place of a number or of a whole list.

    Args:
        nested: such as `[[[x, y, z], null], ...]`.
        ranks: the numbers of dimensions that it may have.
        tail: the sizes of its last dimensions, such as (V, C).
        most: the largest sizes of the dimensions before these, as many as the largest rank has.

    Raises:
        UserError: it has other sizes, or something that is neither a finite number nor null.
    """
    sizes = _sizes(nested, ranks, tail)
    leading = sizes[: len(sizes) - len(tail)]
    for size, largest in zip(leading, most[len(most) - len(leading) :], strict=True):
        if not 0 < size <= largest:
            raise UserError(
                f"The lists have the sizes {sizes}; this server takes 1 to {largest} where there are {size}."
            )
    level: list[Any] = [nested]
    for size in sizes:
        level = _entries(level, size, sizes)
    if not set(map(type, level)) <= _NUMBERS:
        raise UserError("Everything in the lists should be a number, or null where one is missing.")
    missing = np.fromiter((entry is None for entry in level), np.bool_, len(level))
    try:
        numbers = np.array(level, np.float64)
    except OverflowError as error:
        raise UserError("A number is too large.") from error
    if not np.isfinite(numbers[~missing]).all():
        raise UserError("Every number should be finite; write null where one is missing.")
    return numbers.reshape(sizes)


def _sizes(nested: list[Any], ranks: Sequence[int], tail: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes of nested lists, as the first list of each level has them."""
    found = [len(nested)]
    level = nested
    while (following := next((entry for entry in level if type(entry) is list), None)) is not None:
        level = following
        found.append(len(level))
        if len(found) > max(ranks):
            break
    if len(tail) > 1 and len(found) + 1 in ranks and found[-1] == tail[0] and all(entry is None for entry in level):
        found.append(tail[1])  # all joints are missing
    if len(found) not in ranks or tuple(found[len(found) - len(tail) :]) != tail:
        wanted = " or ".join(
            f"({', '.join(['.'] * (rank - len(tail)) + [str(size) for size in tail])})" for rank in ranks
        )
        raise UserError(f"The lists have the sizes {tuple(found)}; they should have {wanted}.")
    return tuple(found)


def _entries(level: list[Any], size: int, sizes: tuple[int, ...]) -> list[Any]:
    """Return the entries of all lists of a level, each of which should have the same size."""
    entries: list[Any] = []
    for each in level:
        if each is None:
            entries.extend(repeat(None, size))
        elif type(each) is list and len(each) == size:
            entries.extend(each)
        else:
            found = f"a list of {len(each)}" if type(each) is list else "no list"
            raise UserError(f"The first lists have the sizes {sizes}, but where one of {size} should be is {found}.")
    return entries
