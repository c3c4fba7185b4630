"""The numbers that a recording's frames have: from which one they count, and the frames that no number names."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from .base import MOST_FRAMES, BadClip, Source

T = TypeVar("T")


def first_of(numbers: Iterable[int], source: Source, *, perhaps_from_1: bool = False) -> int:
    """Return the number of a recording's first frame.

    Intervals count from the start of a long recording, and its first frames may have no body: so its numbers count from
    0 or, with `perhaps_from_1`, from 1 if that is the lowest. A clip that is one recording starts with its lowest
    number, since it may be a part of a video.
    """
    lowest = min(numbers, default=0)
    if not source.is_long or (perhaps_from_1 and lowest == 1):
        return lowest
    return min(lowest, 0)


def refuse_many(name: str, lowest: int, last: int, first: int) -> None:
    """Refuse a recording whose frames are `lowest` to `last` and count from `first`, if there are too many.

    Raises:
        BadClip: there are more than a recording may have.
    """
    if last - first < MOST_FRAMES:
        return
    counted_from = f", counted from {first}" if first != lowest else ""
    remedy = ": give those of a part of a video numbers from 0" if first != lowest else ""
    problem = f"its frames are {lowest} to {last}{counted_from}; at most {MOST_FRAMES} are possible{remedy}"
    raise BadClip(name, 0, problem)


def with_empty_frames(
    name: str, frames: Mapping[int, Sequence[T]], source: Source, *, perhaps_from_1: bool = False
) -> list[Sequence[T]]:
    """Return what is in every frame, from the first (see `first_of`) to the last; those of no number are empty.

    Raises:
        BadClip: there are more than a recording may have.
    """
    if not frames:
        return []
    first, last = first_of(frames, source, perhaps_from_1=perhaps_from_1), max(frames)
    refuse_many(name, min(frames), last, first)
    return [frames.get(number, ()) for number in range(first, last + 1)]


def are_counted(source: Source) -> bool:
    """Tell whether the place of a frame in a recording matters: there are intervals, or a frame rate."""
    return source.is_long or source.source_fps > 0
