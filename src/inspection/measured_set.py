"""Measure a set in one pass: a row of numbers for each clip, and the distances between joints in a few clips.

Legend: N clips, V joints, T frames.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..data.preparation.formats import BadClip
from ..data.store.clip import FARTHEST, Clip
from ..data.store.copies import descriptor_length
from ..data.store.few_clips import spread_over_classes
from ..settings.data import DataConfig
from ..skeleton import Layout
from ..utils.progress import SILENT, Progress
from .anatomy import Anatomy, anatomy_of
from .clip_source import ClipSource
from .copied_clips import groups_of_copies
from .measures import measure, row_type

_PAIRED_CLIPS = 200  # enough to compare layouts
_PAIRED_FRAMES = 8


@dataclass
class JointDistances:
    """Distances between the joints of a body in a few clips, of pairs that were measured in the same frame.

    Attributes:
        total: (V, V) the sum over clips of the mean over frames, in the unit of the coordinates.
        apart: (V, V) the largest distance of two joints in any frame; 0 for a pair that no clip has.
        clips: (V, V) how many clips have both joints of a pair in some frame.
    """

    total: NDArray[np.float64]
    apart: NDArray[np.float64]
    clips: NDArray[np.int64]

    @classmethod
    def of_none(cls, joints: int) -> Self:
        """Return the distances between a number of joints before a clip was added."""
        square = (joints, joints)
        return cls(np.zeros(square), np.zeros(square), np.zeros(square, np.int64))

    def mean(self, fewest: int) -> NDArray[np.float64]:
        """Return the mean distances over clips, (V, V); infinite for a pair that fewer than `fewest` clips have."""
        return np.where(self.clips >= fewest, self.total / np.maximum(self.clips, 1), np.inf)

    def add(self, clip: Clip) -> None:
        """Add the pairs of joints that the first body of a clip has in some frame."""
        usable = (np.abs(clip.joints[0]) <= 2 * FARTHEST).all(axis=2) & clip.joint_mask[0]  # (T, V)
        present = np.flatnonzero(usable.any(axis=1))
        if not len(present):
            return
        frames = present[np.linspace(0, len(present) - 1, min(len(present), _PAIRED_FRAMES)).astype(np.int64)]
        points, seen = clip.joints[0, frames].astype(np.float64), usable[frames]
        both = seen[:, :, None] & seen[:, None]
        distances = np.where(both, np.linalg.norm(points[:, :, None] - points[:, None], axis=-1), 0)
        self.apart = np.maximum(self.apart, distances.max(axis=0))
        self.total = self.total + distances.sum(axis=0) / np.maximum(both.sum(axis=0), 1)
        self.clips = self.clips + both.any(axis=0)


@dataclass(frozen=True, eq=False)
class MeasuredSet:
    """A set that was measured.

    Attributes:
        rows: (N,) the measures of each clip; see `measures.row_type`.
        names, classes: the names of the clips and of the classes.
        layout, anatomy: of the clips.
        distances: between joints.
        problems: why clips could not be read, by their number.
        read: returns a clip again.
        config: the description of the data set, if it has one.
        index: the index of the store, if the clips are in one.
    """

    rows: NDArray[np.void]
    names: list[str]
    classes: list[str]
    layout: Layout
    anatomy: Anatomy
    distances: JointDistances
    problems: dict[int, str]
    read: Callable[[int], Clip]
    config: DataConfig | None = None
    index: NDArray[np.void] | None = None
    has_labels: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Return which clips were read and have a body, (N,)."""
        return np.asarray(self.rows["is_read"] & (self.rows["bodies"] > 0))

    @property
    def labels(self) -> NDArray[np.int64]:
        """Return the class of each clip, -1 where it is unknown."""
        return self.rows["label"].astype(np.int64)

    @cached_property
    def copies(self) -> NDArray[np.int64]:
        """Return for each clip the number of the first clip that it is a copy of, its own if it is none, (N,)."""
        return groups_of_copies(self.rows, self.is_usable, self.read)

    def class_name(self, label: int) -> str:
        """Return the name of a class, or its number if it has no name."""
        return self.classes[label] if 0 <= label < len(self.classes) else f"class {label}"


def measure_set(source: ClipSource, progress: Progress = SILENT) -> MeasuredSet:
    """Read and measure every clip of a source, one at a time; one that cannot be read is listed as a problem."""
    layout, anatomy = source.layout, anatomy_of(source.layout)
    rows = np.zeros(len(source.names), row_type(layout, descriptor_length(layout.num_joints, layout.coordinates)))
    rows["label"] = source.labels if source.has_labels else -1
    distances = JointDistances.of_none(layout.num_joints)
    paired = set(spread_over_classes(source.labels, _PAIRED_CLIPS)) if len(source.names) else set()
    problems: dict[int, str] = {}
    with progress.task("inspecting clips", total=len(source.names)):
        for number in range(len(source.names)):
            try:
                clip = source.read(number)
            except BadClip as error:
                problems[number] = error.reason
            else:
                measure(clip, anatomy, rows[number])
                if not source.has_labels:
                    rows["label"][number] = -1
                if number in paired:
                    distances.add(clip)
            progress.advance()
    return MeasuredSet(
        rows=rows, names=source.names, classes=source.classes, layout=layout, anatomy=anatomy, distances=distances,
        problems=problems, read=source.read, config=source.config,
        index=None if source.store is None else source.store.clips, has_labels=source.has_labels,
    )  # fmt: skip
