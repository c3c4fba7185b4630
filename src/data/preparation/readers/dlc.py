"""DeepLabCut's tables: one CSV file per clip, `class_name/clip.csv`, as its analysis of a video writes it.

The first rows name the scorer, with several animals the individual, the body part and the coordinate (x, y and
likelihood, or x, y and z) of every column; each further row is a frame with its number. Body parts are found by their
names in the layout; `likelihood` is the confidence, and an empty field a missing joint. Individuals are bodies. There
are no times. Structure: DeepLabCut's docs (standardDeepLabCut_UserGuide, maDLC_UserGuide), analyze_videos with
save_as_csv. Its .h5 files hold the same, but name their columns in a pickle, which is not read.
"""

import csv
import io
from collections.abc import Sequence
from itertools import islice

import numpy as np

from ...store.clip import Clip
from ..formats.base import BadClip, Entry, Source
from ..formats.class_folders import ClassFolderReader
from ..formats.clip_builder import build_clip, refuse_size
from ..formats.csv_rows import LIMIT_BYTES, CsvFile, CsvRows, Floats, Integers
from ..formats.frame_numbers import first_of, refuse_many
from ..formats.json_recordings import capped_scores
from ..formats.named_joints import indices_of, joint_indices
from ..formats.other_layouts import flat_layout
from ..formats.recordings import read_bytes
from ..formats.table_columns import AXES
from ..formats.tracks import MOST_BODIES

_HEADS = (["scorer", "bodyparts", "coords"], ["scorer", "individuals", "bodyparts", "coords"])
_LIKELIHOOD = "likelihood"

Column = tuple[str, str, str]  # individual, body part, coordinate


class Reader(ClassFolderReader):
    """Reader of the CSV files of DeepLabCut."""

    endings = (".csv", ".csv.gz")
    expected = "class_name/clip.csv"

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            BadClip: it is no table of DeepLabCut, or has no body part for a joint of the layout.
            DroppedClip: no body is present in any frame.
        """
        name, coordinates = entry.name, self.source.layout.coordinates
        data = read_bytes(entry, LIMIT_BYTES)
        columns, lines = _columns(name, data)
        indices = np.array(self._indices(name, columns), np.int64)  # (M, V, C), (M, V, C + 1) with likelihoods
        used, inverse = np.unique(indices, return_inverse=True)
        rows = _rows(name, data, columns, lines, [0, *used.tolist()])
        frames = _frames(name, rows, self.source)
        count = int(frames[-1]) + 1
        refuse_size(name, float(indices.size) * count)
        values = np.full((count, len(used)), np.nan)
        values[frames] = rows.numbers[:, 1:]
        points = values[:, inverse.reshape(indices.shape)].transpose(1, 0, 2, 3)  # (M, T, V, C + 1)
        confidence = None
        if points.shape[3] > coordinates:
            confidence = capped_scores(name, points[..., coordinates])
        joints = points[..., :coordinates]
        return build_clip(name, self.describe(name), joints, self.source, confidence=confidence)

    def _indices(self, name: str, columns: Sequence[Column]) -> list[list[list[int]]]:
        """Return the columns of every body and joint: its coordinates and, if there are any, its likelihood."""
        layout = self.source.layout
        axes = [*AXES[: layout.coordinates]]
        given = {coordinate for _, _, coordinate in columns}
        if missing := [axis for axis in axes if axis not in given]:
            flat = flat_layout(layout.name)
            also = f", such as {flat}" if flat else ""
            other = "3, but it has x and y only: use one of 2" + also if "z" in missing else "2, but it has no x and y"
            raise BadClip(name, 0, f"{layout.name} has coordinates: {other}")
        axes += [_LIKELIHOOD] if _LIKELIHOOD in given else []
        found = {column: index for index, column in enumerate(columns, start=1)}
        individuals = list(dict.fromkeys(individual for individual, _, _ in columns))
        if len(individuals) > MOST_BODIES:
            raise BadClip(name, 0, f"has {len(individuals)} individuals; at most {MOST_BODIES} are read")
        bodies: list[list[list[int]]] = []
        for individual in individuals:
            parts = list(dict.fromkeys(part for whose, part, _ in columns if whose == individual))
            # DeepLabCut has an individual `single` for what belongs to no animal, such as the corners of a cage.
            if bodies and not any(indices_of(parts, layout)):
                continue
            joints = [parts[index] for index in joint_indices(name, parts, layout, "body part")]
            try:
                bodies.append([[found[individual, part, axis] for axis in axes] for part in joints])
            except KeyError as error:
                raise BadClip(name, 0, f"has no column for {error.args[0][1][:40]!r}, {error.args[0][2]}") from None
        return bodies


def _columns(name: str, data: bytes) -> tuple[list[Column], int]:
    """Return what the columns after the first one hold, and the number of rows that say so."""
    text = io.StringIO(b"\n".join(data.split(b"\n", 4)[:4])[: 1 << 20].decode("utf-8", "replace"), newline="")
    try:
        rows = list(islice(csv.reader(text), 4))
    except csv.Error as error:
        raise BadClip(name, 1, f"is not a row of CSV: {error}") from error
    firsts = [row[0].strip().lower() if row else "" for row in rows]
    head = next((each for each in _HEADS if firsts[: len(each)] == each), None)
    if head is None:
        raise BadClip(
            name, 1, "its first rows should begin with scorer, (individuals,) bodyparts and coords, as DeepLabCut "
            "writes them; other tables are read with data.format: table",
        )  # fmt: skip
    named = {first: row[1:] for first, row in zip(head, rows, strict=False)}
    parts, coordinates = named["bodyparts"], [text.strip().lower() for text in named["coords"]]
    if parts and not parts[0].strip():
        raise BadClip(name, 2, "holds labelled pictures, not a video: name the table of an analysed video")
    individuals = named.get("individuals", [""] * len(parts))
    if not len(parts) == len(coordinates) == len(individuals):
        raise BadClip(name, len(head), "its first rows have different numbers of fields")
    columns = [
        (individual.strip(), part.strip(), coordinate)
        for individual, part, coordinate in zip(individuals, parts, coordinates, strict=True)
    ]
    return columns, len(head)


def _rows(name: str, data: bytes, columns: Sequence[Column], lines: int, used: Sequence[int]) -> CsvRows:
    """Return the numbers of the used columns, below a header of one row; the others stay empty, to count lines."""
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(["frame", *(" ".join(filter(None, each)) for each in columns)])
    rest = data.split(b"\n", lines)[lines:]
    file = CsvFile(name, b"\n" * (lines - 1) + header.getvalue().encode() + (rest[0] if rest else b""))
    rows = file.read({}, used)
    for row in np.flatnonzero(rows.is_bad)[:1].tolist():
        raise BadClip(name, int(rows.lines[row]), rows.reasons.get(row, "a field is not a number"))
    return rows


def _frames(name: str, rows: CsvRows, source: Source) -> Integers:
    """Return the frame of each row, from 0."""
    numbers: Floats = rows.numbers[:, 0]
    wrong = np.flatnonzero(~(np.abs(numbers) < 2**53) | (numbers != np.round(numbers)))
    if len(wrong):
        raise BadClip(name, int(rows.lines[wrong[0]]), f"the number of its frame is {numbers[wrong[0]]:g}")
    back = np.flatnonzero(np.diff(numbers) <= 0)
    if len(back):
        raise BadClip(name, int(rows.lines[back[0] + 1]), "its frame is not after that of the row before")
    lowest, last = int(numbers[0]), int(numbers[-1])
    first = first_of([lowest], source)
    refuse_many(name, lowest, last, first)
    frames: Integers = numbers.astype(np.int64) - first
    return frames
