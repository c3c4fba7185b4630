"""Search for test clips that are copies, or near copies, of training clips.

Each clip has a descriptor: a few joints of its first body in a few frames, centred and scaled to unit length. So a copy
has the same descriptor also if it was moved, scaled, resampled in time, or rounded. Descriptors are compared by a grid
over their principal directions, so that only neighbours are compared, and the pairs that are found are verified on all
frames, joints and bodies. Mirrored, rotated or cut copies are not found.

Legend: N clips, D length of a descriptor, F directions of the grid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...utils.files import write_once
from ...utils.numbers import counted
from .format import JOINTS_FILE
from .reader import Store
from .row_file import RowFile

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

# The nearest different clips of NW-UCLA, SBU and the synthetic data are 0.11, 0.022 and 0.062 apart.
LARGEST_DISTANCE = 0.01  # of two descriptors, and of two clips relative to their size
_LARGEST_PART_OF_MOTION = 0.1  # so that two clips of a person who stands still are no copies
_ROUNDING = 1e-5  # of float32, also after clips were moved
_FRAMES, _JOINTS = 6, 12
_DIRECTIONS = 6
_BLOCK = 2048  # clips read, or pairs compared, at a time
_MOST_IN_CELL = 64  # a cell with more clips than that has copies anyway
MOST_VERIFIED = 8  # pairs per test clip
_SAMPLE = 20_000
_PAIRS_SHOWN = 3
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5,
                         0x85EBCA77C2B2AE63, 0xFF51AFD7ED558CCD], np.uint64).view(np.int64)  # fmt: skip


@dataclass(frozen=True)
class Copies:
    """Pairs of a test clip and a training clip that it is a copy of.

    Attributes:
        test, train: (P,) the indices of both clips; each test clip is in one pair.
    """

    test: Integers
    train: Integers

    def __len__(self) -> int:
        return len(self.test)


def find_copies(store: Store, train: Integers, test: Integers) -> Copies:
    """Return the clips of `test` that are copies of clips of `train`, ascending; both are clip indices.

    Raises:
        UserError: the store's file is shorter now, or cannot be read.
    """
    joints = RowFile(store.path / JOINTS_FILE)
    ours, theirs = (_descriptors(store.clips[part], joints) for part in (test, train))
    found: dict[int, int] = {}
    tried = np.zeros(len(test), np.int64)
    for first, second in near_pairs(ours, theirs):
        if first in found or tried[first] == MOST_VERIFIED:
            continue
        tried[first] += 1
        if are_copies(*(_clip(store.clips[clip], joints) for clip in (test[first], train[second]))):
            found[first] = second
    pairs = np.array(sorted(found.items()), np.int64).reshape(-1, 2)
    return Copies(test[pairs[:, 0]], train[pairs[:, 1]])


def descriptor_length(joints: int, coordinates: int) -> int:
    """Return the length of a descriptor of bodies with a number of joints and coordinates."""
    return _FRAMES * len(_chosen_joints(joints)) * coordinates


def descriptor(body: Floats) -> Floats:
    """Return the descriptor of a body's joints (T, V, C), (D,); zeros if all are at one point."""
    frames = _at_frames(body[None, :, _chosen_joints(body.shape[1])], _FRAMES)
    return np.asarray(_unit_descriptors(frames.astype(np.float32))[0])


def _chosen_joints(joints: int) -> Integers:
    return np.unique(np.linspace(0, joints - 1, min(_JOINTS, joints)).astype(np.int64))


def _unit_descriptors(frames: Floats) -> Floats:
    """Return joints in a few frames, (N, frames, joints, C), centred and of unit length, (N, D)."""
    frames = frames - frames.mean(axis=(1, 2), keepdims=True)
    flat = frames.reshape(len(frames), -1)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(np.where(lengths > 0, flat / np.maximum(lengths, 1e-30), 0), np.float32)


def _descriptors(clips: NDArray[np.void], joints: RowFile) -> Floats:
    """Return the descriptors of clips, (N, D); zeros for a clip whose joints are all at one point."""
    chosen = _chosen_joints(joints.shape[1])
    found = np.zeros((len(clips), _FRAMES * len(chosen) * joints.shape[2]), np.float32)
    for start in range(0, len(clips), _BLOCK):
        block = clips[start : start + _BLOCK]
        frames = _resampled(block["offset"], block["frames"], _FRAMES, joints)[:, :, chosen]  # (N, frames, joints, C)
        found[start : start + len(block)] = _unit_descriptors(frames)
    return found


def _resampled(offsets: Integers, lengths: Integers, frames: int, joints: RowFile) -> Floats:
    """Return joints in frames at equal intervals from the first to the last, (N, frames, V, C).

    Args:
        offsets: (N,) the row of the first frame.
        lengths: (N,) the number of frames.
        frames: how many to return.
        joints: the rows.
    """
    last = np.asarray(lengths, np.int64)[:, None] - 1
    positions = np.linspace(0, 1, frames)[None] * last
    lower = positions.astype(np.int64)
    weights = (positions - lower)[..., None, None].astype(np.float32)
    upper = np.minimum(lower + 1, last)
    both = joints.rows(np.stack([lower, upper]) + np.asarray(offsets, np.int64)[None, :, None])
    return np.asarray(both[0] * (1 - weights) + both[1] * weights, np.float32)


def near_pairs(ours: Floats, theirs: Floats) -> Iterator[tuple[int, int]]:
    """Yield the pairs of descriptors within the largest distance: the positions in both arrays, (N, D) and (M, D).

    Both are projected onto directions in which the descriptors differ most. Points within the distance of each other
    are in the same cell of a grid or in neighbouring ones, on the side that is nearer.
    """
    used, others = np.flatnonzero(ours.any(axis=1)), np.flatnonzero(theirs.any(axis=1))
    if not len(used) or not len(others):
        return
    directions = _directions(theirs[others])  # (D, F)
    positions = ours[used] @ directions / (2 * LARGEST_DISTANCE)
    cells = np.floor(positions).astype(np.int64)
    sides = np.where(positions - cells < 0.5, -1, 1)
    multipliers = _MULTIPLIERS[: directions.shape[1]]
    keys = np.floor(theirs[others] @ directions / (2 * LARGEST_DISTANCE)).astype(np.int64) @ multipliers
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    for moved in product((0, 1), repeat=directions.shape[1]):
        wanted = (cells + sides * np.array(moved)) @ multipliers
        starts = np.searchsorted(keys, wanted)
        counts = np.minimum(np.searchsorted(keys, wanted, side="right") - starts, _MOST_IN_CELL)
        queries = np.repeat(np.arange(len(used)), counts)
        candidates = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + starts[queries]
        for start in range(0, len(queries), _BLOCK):
            mine, other = used[queries[start : start + _BLOCK]], others[order[candidates[start : start + _BLOCK]]]
            is_near = ((ours[mine] - theirs[other]) ** 2).sum(axis=1) <= LARGEST_DISTANCE**2
            yield from zip(mine[is_near].tolist(), other[is_near].tolist(), strict=True)


def _directions(descriptors: Floats) -> NDArray[np.float64]:
    """Return orthonormal directions in which descriptors differ most, (D, F)."""
    sample = descriptors[:: max(1, len(descriptors) // _SAMPLE)].astype(np.float64)
    sample -= sample.mean(axis=0)
    return np.asarray(np.linalg.eigh(sample.T @ sample)[1][:, -_DIRECTIONS:])


def _clip(clip: np.void, joints: RowFile) -> Floats:
    """Return the joints of a clip, (M, T, V, C)."""
    bodies, frames, offset = int(clip["bodies"]), int(clip["frames"]), int(clip["offset"])
    return np.asarray(joints.span(offset, offset + bodies * frames)).reshape(bodies, frames, *joints.shape[1:])


def are_copies(first: Floats, second: Floats) -> bool:
    """Tell whether two clips (M, T, V, C) have the same movement, whatever their position, scale and frame rate."""
    bodies, frames = min(len(first), len(second)), max(first.shape[1], second.shape[1])
    ours, theirs = (_unit(_at_frames(clip[:bodies], frames)) for clip in (first, second))
    distance = np.linalg.norm(ours - theirs)
    motion = np.linalg.norm(ours - ours.mean(axis=1, keepdims=True))
    allowed = min(LARGEST_DISTANCE, _LARGEST_PART_OF_MOTION * float(motion))
    return bool(distance <= max(allowed, _ROUNDING))


def _at_frames(clip: Floats, frames: int) -> NDArray[np.float64]:
    """Return a clip (M, T, V, C) with another number of frames, at equal intervals."""
    positions = np.linspace(0, clip.shape[1] - 1, frames)
    lower = positions.astype(np.int64)
    upper = np.minimum(lower + 1, clip.shape[1] - 1)
    weights = (positions - lower)[None, :, None, None]
    return np.asarray(clip[:, lower] * (1 - weights) + clip[:, upper] * weights, np.float64)


def _unit(clip: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = clip - clip.mean(axis=(0, 1, 2))
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-30))


def copies_message(names: Sequence[str], copies: Copies, tested: int, what: str) -> str:
    """Return a sentence with the number of copies and the first of them.

    Args:
        names: those of all clips of the store.
        copies: the pairs, at least one.
        tested: the number of clips in the part.
        what: the part, such as `test`.
    """
    pairs = [f"{names[copy]} of {names[clip]}" for copy, clip in zip(copies.test, copies.train, strict=True)]
    more = f" and {len(pairs) - _PAIRS_SHOWN:,} more" if len(pairs) > _PAIRS_SHOWN else ""
    shown = ", ".join(pairs[:_PAIRS_SHOWN]) + more
    are = "is a copy, or nearly one, of a training clip"
    if len(copies) > 1:
        are = "are copies, or nearly so, of training clips"
    return f"{len(copies):,} of {counted(tested, f'{what} clip')} {are}: {shown}."


def write_copies(path: Path, names: Sequence[str], copies: Copies) -> None:
    """Write the names of the test clips that are copies, as a list for `preprocess --ignore`; `names` are of all clips.

    Raises:
        UserError: the file cannot be written, or another one is there already.
    """
    lines = ["# Test clips that are copies of training clips"]
    for copy, clip in zip(copies.test, copies.train, strict=True):
        lines += [f"# copy of {names[clip]}:", names[copy]]
    write_once(path, "\n".join(lines) + "\n")
