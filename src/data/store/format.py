"""The format of a store: the content of each file, and the validity of an index.

`joints.npy` float32 (R, V, C) and `valid.npy` bool (R,) hold the clips one after another, each of them body
by body: body m of clip i in frame t is row `offset[i] + m * frames[i] + t`. `confidence.npy` uint8 (R, V) is there if
a joint is missing (0) or was measured with less than full confidence (1 to 254 for 0 to 1; 255 is full). `clips.npy` is
the index, `store.json` describes the folder; it is written last, so a folder that has one is complete.

Version 1 had neither confidences nor frame rates. Its stores are read as having full confidence and unknown rates.

Legend: R rows, M bodies, T frames, V joints, C coordinates.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...skeleton import Layout
from ...utils.errors import UserError
from ...utils.foreign_text import are_characters, is_readable
from .clip import FARTHEST, FULL, MISSING, Clip
from .recordings import Recordings, as_type

FORMAT_VERSION = 2
READ_VERSIONS = (1, 2)
HEADER_FILE = "store.json"
CHUNK_FOLDER = ".partial"  # in a store's folder, while it is prepared
JOINTS_FILE, VALID_FILE, CLIPS_FILE = ARRAY_FILES = ("joints.npy", "valid.npy", "clips.npy")
CLIP_NUMBERS = ("label", "subject", "camera", "setup", "replication")
CONFIDENCE_FILE = "confidence.npy"  # not in every store
MAX_BODIES = 2
LARGEST_NUMBER = 2**31 - 1  # of the numbers in an index
# In memory an index has a column for each protocol listed by the source of the clips: the part of each clip.
PART_PREFIX = "part of "
PART_LETTERS = "TE-"  # training, test (evaluation), neither
TRAIN, TEST = b"T", b"E"
JOINTS_TYPE, VALID_TYPE, CONFIDENCE_TYPE = np.dtype("<f4"), np.dtype("?"), np.dtype("u1")


def index_type(name_width: int, version: int = FORMAT_VERSION) -> np.dtype[np.void]:
    """Return the type of an index row; `name_width` is the length of the longest clip name."""
    return np.dtype(
        [("name", f"<U{name_width}"), ("offset", "<i8"), ("frames", "<i4"), ("bodies", "i1")]
        + [(number, "<i4") for number in CLIP_NUMBERS]
        + ([("fps", "<f4")] if version > 1 else [])
    )


class Rows(NamedTuple):
    """Clips in the format of a store; offsets count from the first of these rows.

    Attributes:
        clips: the index, one structured element per clip.
        joints: (R, V, C) float32.
        valid: (R,) bool.
        confidence: (R, V) uint8, 0 where a joint is missing; None if none is and all have full confidence.
    """

    clips: NDArray[np.void]
    joints: NDArray[np.float32]
    valid: NDArray[np.bool_]
    confidence: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class StoreMetadata:
    """Metadata of a store: contents and origin.

    Attributes:
        name, layout, classes: the data set, its joint layout, its class names in the order of their labels.
        source: where the clips came from, as JSON values.
        protocols: the protocols listed by the source, each as one letter per clip: T training, E test, - neither.
        recordings: the long recordings of which the clips are parts; None if each clip is a recording.
    """

    name: str
    layout: Layout
    classes: Sequence[str]
    source: Mapping[str, Any] = field(default_factory=dict)
    protocols: Mapping[str, str] = field(default_factory=dict)
    recordings: Recordings | None = None


def pack(clips: Sequence[Clip], layout: Layout) -> Rows:
    """Return `clips` as rows of a store.

    Raises:
        UserError: a clip's arrays do not fit the layout or each other, or hold a number that is not finite.
    """
    shape = (layout.num_joints, layout.coordinates)
    for clip in clips:
        if problem := _misfit(clip, shape):
            raise UserError(f"The clip {clip.name!r} does not fit a store of the layout {layout.name}: {problem}.")
    joints = [clip.joints.reshape(-1, *shape) for clip in clips]
    masks = [clip.frame_mask.reshape(-1) for clip in clips]
    confidence = None
    if any(clip.confidence is not None for clip in clips):
        confidence = np.concatenate([_confidence(clip).reshape(-1, shape[0]) for clip in clips])
    return Rows(
        clips=index_of(clips),
        joints=np.concatenate([np.zeros((0, *shape), JOINTS_TYPE), *joints]),
        valid=np.concatenate([np.zeros(0, VALID_TYPE), *masks]),
        confidence=confidence,
    )


def full_confidence(valid: NDArray[np.bool_], joints: int) -> NDArray[np.uint8]:
    """Return the confidences (..., V) of bodies of which every joint is measured where they are present, (...)."""
    return np.repeat(np.where(valid, np.uint8(FULL), np.uint8(MISSING))[..., None], joints, axis=-1)


def _confidence(clip: Clip) -> NDArray[np.uint8]:
    if clip.confidence is not None:
        return clip.confidence
    return full_confidence(clip.frame_mask, clip.joints.shape[2])


def is_index(clips: NDArray[Any], version: int = FORMAT_VERSION) -> bool:
    """Tell whether an array has the type and shape of an index of clips."""
    width = clips.dtype["name"].itemsize // 4 if "name" in (clips.dtype.names or ()) else 0
    return clips.ndim == 1 and width > 0 and clips.dtype == index_type(width, version)


def present_index(clips: NDArray[np.void], version: int) -> NDArray[np.void]:
    """Return the index of a store of `version` in the form of the present one; the caller has checked its type."""
    return clips if version == FORMAT_VERSION else as_type(clips, index_type(clips.dtype["name"].itemsize // 4))


def index_bytes(clips: NDArray[np.void], version: int = FORMAT_VERSION) -> bytes:
    """Return an index as the content of the file of a store of `version`."""
    index = as_type(clips, index_type(clips.dtype["name"].itemsize // 4, version))
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, index, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def index_of(clips: Sequence[Clip]) -> NDArray[np.void]:
    """Return the index of `clips` alone; its offsets count from the first of them."""
    index = np.zeros(len(clips), index_type(max((len(clip.name) for clip in clips), default=1)))
    for row, clip in zip(index, clips, strict=True):
        bodies, frames = clip.frame_mask.shape
        row["name"], row["frames"], row["bodies"] = clip.name, frames, bodies
        for number in (*CLIP_NUMBERS, "fps"):
            row[number] = getattr(clip, number)
    index["offset"] = _offsets(index)
    return index


def with_parts(clips: NDArray[np.void], protocols: Mapping[str, str]) -> NDArray[np.void]:
    """Return an index with a column for each protocol listed by the source.

    Args:
        clips: the index.
        protocols: for each, one letter per clip: T training, E test, - neither.

    Raises:
        ValueError: the letters or their number are wrong.
    """
    for name, letters in protocols.items():
        if not isinstance(letters, str) or len(letters) != len(clips) or set(letters) - set(PART_LETTERS):
            raise ValueError(f"the protocol {name[:80]!r} does not have one of the letters {PART_LETTERS} per clip")
    extended = as_type(clips, np.dtype([*clips.dtype.descr, *((PART_PREFIX + name, "S1") for name in protocols)]))
    for name, letters in protocols.items():
        extended[PART_PREFIX + name] = np.array(list(letters), "S1")
    return extended


def listed_protocols(clips: NDArray[np.void]) -> list[str]:
    """Return the names of the protocols that the source of an index lists."""
    return [name.removeprefix(PART_PREFIX) for name in clips.dtype.names or () if name.startswith(PART_PREFIX)]


def index_problem(clips: NDArray[np.void], rows: int, classes: int) -> str:
    """Return the problem of an index of `rows` rows; empty if it is valid and inside them."""
    if not len(clips):
        return "it holds no clip"
    names = clips["name"]
    if not are_characters(names.tobytes(), names.dtype.byteorder):
        return "the index has a name that is not text"
    if (clips["frames"] < 1).any() or (clips["bodies"] < 1).any() or (clips["bodies"] > MAX_BODIES).any():
        return f"the index has a clip without frames, or with a number of bodies outside 1..{MAX_BODIES}"
    end = int(clips["offset"][-1]) + int(clips["frames"][-1]) * int(clips["bodies"][-1])
    if (clips["offset"] != _offsets(clips)).any() or end != rows:
        return f"the offsets of the index do not cover the {rows} rows one after another"
    if (clips["label"] < 0).any() or (clips["label"] >= classes).any():
        return f"the index has a label outside the {classes} classes"
    if not (np.isfinite(clips["fps"]) & (clips["fps"] >= 0)).all():
        return "the index has a frame rate that is not a number from 0"
    return ""


def rows_problem(rows: Rows, classes: int | None = None) -> str:
    """Return the problem of rows of a store, or of a part of one; empty if they are valid.

    Args:
        rows: arrays of any type and shape.
        classes: the number of classes; None if it is not known yet, in which case there may be no clips.
    """
    if not is_index(rows.clips):
        return "the index is not a list of clips"
    if (rows.joints.dtype, rows.joints.ndim, rows.valid.dtype) != (JOINTS_TYPE, 3, VALID_TYPE):
        return "the arrays are not float32 (rows, joints, coordinates) and bool (rows)"
    if rows.valid.shape != rows.joints.shape[:1]:
        return f"there are {len(rows.joints)} rows of joints, but the frame mask has the shape {rows.valid.shape}"
    confidence = rows.confidence
    if confidence is not None and (confidence.dtype, confidence.shape) != (CONFIDENCE_TYPE, rows.joints.shape[:2]):
        return f"the confidences are not uint8 {rows.joints.shape[:2]}"
    if not len(rows.clips) and classes is None:
        return "" if not len(rows.valid) else "there are rows without a clip"
    labels = int(rows.clips["label"].max(initial=0)) + 1 if classes is None else classes
    return index_problem(rows.clips, len(rows.valid), labels) or _presence_problem(rows)


def _presence_problem(rows: Rows) -> str:
    """Return the problem of a clip without any body in a valid index, or an empty string."""
    if (rows.valid.view(np.uint8) > 1).any():
        return "the frame mask has bytes other than 0 and 1"
    empty = ~np.logical_or.reduceat(rows.valid, rows.clips["offset"])
    return f"the clip {str(rows.clips['name'][empty.argmax()])[:80]!r} has no body in any frame" if empty.any() else ""


def _misfit(clip: Clip, shape: tuple[int, int]) -> str:
    """Return why a clip cannot be stored, or an empty string."""
    if clip.joints.ndim != 4 or clip.joints.shape[2:] != shape:
        return f"its joints have the shape {clip.joints.shape}, not (bodies, frames, {shape[0]}, {shape[1]})"
    if clip.frame_mask.shape != clip.joints.shape[:2]:
        return f"its joints have the shape {clip.joints.shape} and its frame mask {clip.frame_mask.shape}"
    if not (1 <= clip.frame_mask.shape[0] <= MAX_BODIES and clip.frame_mask.shape[1] >= 1):
        return f"it has {clip.frame_mask.shape[0]} bodies and {clip.frame_mask.shape[1]} frames"
    if not clip.frame_mask.any():
        return "it has no body in any frame"
    if not is_readable(clip.name):
        return "its name is not UTF-8 text"
    if problem := _confidence_problem(clip):
        return problem
    if not 0 <= clip.fps < np.inf:
        return f"its frame rate is {clip.fps}"
    for number in CLIP_NUMBERS:
        if not 0 <= getattr(clip, number) <= LARGEST_NUMBER:
            return f"its {number} is {getattr(clip, number)}, not 0 to {LARGEST_NUMBER}"
    if not np.isfinite(clip.joints).all():
        return "a coordinate is not finite"
    # A reader accepts joints up to FARTHEST on either side and moves the origin to one of them.
    return "" if (np.abs(clip.joints) <= 2 * FARTHEST).all() else f"a coordinate is larger than {2 * FARTHEST:.0f}"


def _confidence_problem(clip: Clip) -> str:
    """Return why the confidences of a clip cannot be stored, or an empty string."""
    found = clip.confidence
    if found is None:
        return ""
    if (found.dtype, found.shape) != (CONFIDENCE_TYPE, clip.joints.shape[:3]):
        return f"its confidences are {found.dtype} {found.shape}, not uint8 {clip.joints.shape[:3]}"
    measured = found > MISSING
    if (measured.any(axis=2) != clip.frame_mask).any():
        return "a body is present without a measured joint, or absent with one"
    return "a missing joint has a coordinate other than 0" if clip.joints[~measured].any() else ""


def _offsets(clips: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the offset that each clip must have, from the lengths of those before it."""
    lengths = clips["frames"].astype(np.int64) * clips["bodies"]
    offsets: NDArray[np.int64] = np.cumsum(lengths) - lengths
    return offsets
