"""SLEAP's files: one per clip, `class_name/clip.slp` or its analysis file `class_name/clip.h5` (extra `sleap`: h5py).

Nodes are found by their names in the layout, in pixels. The score of a predicted point is its confidence; a point that
a person has set has 1. Tracks are bodies; without tracks bodies are matched from frame to frame. Where a person has
corrected a prediction, the correction is read. There are no times. Structure: SLEAP's docs (analysis files), and
sleap_io/io/slp.py and analysis_h5.py, the package that writes these files.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....utils.errors import UserError
from ....utils.json_text import parse_json
from ...store.clip import Clip
from ..formats.base import MOST_FRAMES, BadClip, Entry
from ..formats.class_folders import ClassFolderReader
from ..formats.clip_builder import refuse_size
from ..formats.frame_numbers import with_empty_frames
from ..formats.hdf5_files import Hdf5File, open_hdf5, text_of
from ..formats.json_recordings import Floats, capped_scores
from ..formats.named_joints import MOST_JOINTS, joint_indices
from ..formats.other_layouts import layout_of
from ..formats.tracks import Detection, build_tracked_clip

_PREDICTED = 1
_HALF_A_PIXEL_BEFORE = 1.1  # older formats count from the corner of a pixel, not from its centre
_POINT = ("x", "y", "visible", "score")
_INSTANCE = ("instance_type", "skeleton", "track", "from_predicted", "point_id_start", "point_id_end")

Frames = Sequence[Sequence[Detection]]


class Reader(ClassFolderReader):
    """Reader of SLEAP's `.slp` files and analysis files."""

    endings = (".slp", ".analysis.h5", ".h5", ".hdf5")
    expected = "class_name/clip.slp or clip.h5"

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the recordings in the class folders of `raw`.

        Raises:
            UserError: the layout has three coordinates, or the class folders are not as they should be.
        """
        layout = self.source.layout
        if not layout.flat:
            raise UserError(
                f"{layout.name} has three coordinates, but files of the format sleap two: use {layout_of(2, layout)}."
            )
        return super().entries(raw)

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            UserError: h5py cannot be imported.
            BadClip: it is no file of SLEAP, is damaged, or lacks a node of the layout.
            DroppedClip: no body is present in any frame.
        """
        with open_hdf5(entry) as file:
            if "df_with_missing" in file:
                raise BadClip(entry.name, 0, "is a file of DeepLabCut: export its .csv, and use data.format: dlc")
            if "tracks" in file:
                frames = self._analysed(file)
            elif "instances" in file and "metadata" in file:
                frames = self._labelled(file)
            else:
                raise BadClip(entry.name, 0, "is no file of SLEAP: it has neither `tracks` nor `instances`")
        return build_tracked_clip(entry.name, self.describe(entry.name), frames, self.source)

    def _analysed(self, file: Hdf5File) -> Frames:
        """Return the bodies of each frame of an analysis file."""
        names = [text_of(text) for text in file.array("node_names").ravel()[:MOST_JOINTS].tolist()]
        points, scores = _numbers(file, "tracks", 4), None
        if "point_scores" in file:
            scores = _numbers(file, "point_scores", 3)
        frames_first = points.shape[2:] == (len(names), 2)  # (T, tracks, nodes, 2), else (tracks, 2, nodes, T)
        if points.shape[1:3] == (2, len(names)) and (scores is None or scores.shape != points.shape[:3]):
            frames_first = False
        if frames_first:
            points = points.transpose(1, 3, 2, 0)
            scores = scores.transpose(1, 2, 0) if scores is not None else None
        if points.shape[1:3] != (2, len(names)) or points.shape[3] > MOST_FRAMES:
            shape = f"{points.shape}, not (tracks, 2, {len(names)} nodes, frames)"
            raise BadClip(file.name, 0, f"`tracks` has the shape {shape}, or too many frames")
        if scores is None:
            scores = np.full((points.shape[0], *points.shape[2:]), np.nan)
        if scores.shape != (points.shape[0], *points.shape[2:]):
            raise BadClip(file.name, 0, f"`point_scores` has the shape {scores.shape}, which is not that of `tracks`")
        nodes = joint_indices(file.name, names, self.source.layout, "node")
        refuse_size(file.name, 2.0 * len(nodes) * points.shape[0] * points.shape[3])
        joints = points[:, :, nodes].transpose(3, 0, 2, 1)  # (T, tracks, V, 2)
        confidence = _confidence(file.name, scores[:, nodes].transpose(2, 0, 1))
        present = np.isfinite(joints.sum(axis=3)).any(axis=2).tolist()  # (T, tracks)
        return [
            [Detection(joints[frame, track], confidence[frame, track], track) for track, each in enumerate(row) if each]
            for frame, row in enumerate(present)
        ]

    def _labelled(self, file: Hdf5File) -> Frames:
        """Return the bodies of each frame of a `.slp` file."""
        names = _node_names(file)
        nodes = joint_indices(file.name, names, self.source.layout, "node")
        points = [_points(file, path) for path in ("points", "pred_points")]
        instances = _records(file, "instances", _INSTANCE)
        rows = _records(file, "frames", ("video", "frame_idx", "instance_id_start", "instance_id_end"))
        if len(np.unique(rows[:, 0])) > 1:
            raise BadClip(file.name, 0, "has frames of several videos: save each video in its own file")
        if len(np.unique(rows[:, 1])) < len(rows) or (len(rows) and np.ptp(rows[:, 1]) >= MOST_FRAMES):
            raise BadClip(file.name, 0, f"has a frame twice, or more than {MOST_FRAMES} frames")
        found: dict[int, list[Detection]] = {}
        for _, number, start, end in rows.tolist():
            if not 0 <= start <= end <= len(instances):
                raise BadClip(file.name, 0, f"frame {number} has instances {start} to {end} of {len(instances)}")
            kept = _kept(instances[start:end].tolist(), start)
            found[number] = [self._body(file, each, points, len(names), nodes) for each in kept]
        return with_empty_frames(file.name, found, self.source)

    def _body(
        self, file: Hdf5File, instance: list[int], points: list[Floats], count: int, nodes: list[int]
    ) -> Detection:
        kind, skeleton, track, _, start, end = instance
        table = points[kind == _PREDICTED]
        if skeleton != 0:
            raise BadClip(file.name, 0, "has bodies of several skeletons: save each in its own file")
        if not 0 <= start <= end <= len(table) or end - start != count:
            raise BadClip(file.name, 0, f"a body has the points {start} to {end} of {len(table)}, not one per node")
        values = table[start:end][nodes]
        confidence = _confidence(file.name, values[:, 2])
        return Detection(values[:, :2], confidence, track if track >= 0 else None)


def _kept(instances: list[list[int]], first: int) -> list[list[int]]:
    """Return the instances of a frame without the predictions that a person has corrected."""
    by_hand = [each for each in instances if each[0] != _PREDICTED]
    corrected = {each[3] for each in by_hand if each[3] >= 0}
    tracks = {each[2] for each in by_hand if each[2] >= 0}
    predicted = [
        each
        for number, each in enumerate(instances, start=first)
        if each[0] == _PREDICTED and number not in corrected and each[2] not in tracks
    ]
    return [*by_hand, *predicted]


def _confidence(name: str, scores: Floats) -> Floats:
    """Return confidences, 1 where there is no score: a point that a person has set."""
    return capped_scores(name, np.where(np.isnan(scores), 1.0, scores).clip(min=0.0))


def _numbers(file: Hdf5File, path: str, dimensions: int) -> Floats:
    values = file.array(path)
    if values.dtype.kind not in "fiu" or values.ndim != dimensions:
        found = f"{values.dtype} of {values.ndim} dimensions"
        raise BadClip(file.name, 0, f"`{path}` holds {found}, not numbers of {dimensions}")
    numbers: Floats = values.astype(np.float64)
    return numbers


def _points(file: Hdf5File, path: str) -> Floats:
    """Return x, y and score of all points (N, 3), NaN where one is not visible or has no score."""
    if path not in file:
        return np.zeros((0, 3))
    table = file.array(path)
    fields = [field for field in _POINT if field in (table.dtype.names or ())]
    if not {"x", "y", "visible"} <= set(fields):
        raise BadClip(file.name, 0, f"`{path}` has no x, y and visible")
    if table.ndim != 1 or any(table.dtype[field].kind not in "fiub" for field in fields):
        raise BadClip(file.name, 0, f"`{path}` is no list of points with a number in each field")
    scores = table["score"] if "score" in fields else np.full(len(table), np.nan)
    found = np.stack([np.asarray(column, np.float64) for column in (table["x"], table["y"], scores)], axis=-1)
    found[~np.asarray(table["visible"], bool), :2] = np.nan
    if file.number("metadata", "format_id") < _HALF_A_PIXEL_BEFORE:
        found[:, :2] -= 0.5
    return found


def _records(file: Hdf5File, path: str, fields: tuple[str, ...]) -> NDArray[np.int64]:
    """Return whole numbers of a table, a column for each field."""
    table = file.array(path)
    if table.ndim != 1 or not set(fields) <= set(table.dtype.names or ()):
        raise BadClip(file.name, 0, f"`{path}` is no table with {', '.join(fields)}")
    if any(table.dtype[field].kind not in "iub" for field in fields):
        raise BadClip(file.name, 0, f"`{path}` should have whole numbers")
    columns = [table[field].astype(np.int64) for field in fields]
    return np.stack(columns, axis=1) if len(table) else np.zeros((0, len(fields)), np.int64)


def _node_names(file: Hdf5File) -> list[str]:
    """Return the names of the nodes of the skeleton, in the order of the points."""
    content = _json(file.name, file.text("metadata", "json"), "`metadata`")
    try:
        (skeleton, *_), nodes = content["skeletons"], content["nodes"]
        return [str(nodes[node["id"]]["name"]) for node in skeleton["nodes"][:MOST_JOINTS]]
    except (KeyError, TypeError, IndexError, ValueError):
        raise BadClip(file.name, 0, "its `metadata` has no skeleton with named nodes") from None


def _json(name: str, text: str, where: str) -> Any:
    try:
        return parse_json(text)
    except (json.JSONDecodeError, ValueError) as error:
        raise BadClip(name, 0, f"{where} is not JSON: {error}") from None
