"""A plain folder of arrays: `class_name/clip.npy`, each (T, V, C) or (M, T, V, C), or `class_name/clip.npz`.

A joint with a NaN is missing; a body whose joints are all NaN or zero in a frame is absent from it. An `.npz` holds
`joints` and may hold `confidence` (T, V) or (M, T, V) from 0 to 1, and either `times` (T,) in seconds or `fps`.

The subfolders are the classes listed in the data YAML; a clip may also be in a subfolder of its class's folder. Marks
in a clip's path below the folder of its class give the metadata, with NTU's letters and up to six digits: setup S,
camera C, performer P, replication R, as in `walk_P7.npy`, `P007/walk.npy` or `S001C002P007R001.npy`. Without a mark a
value is 0.
"""

import difflib
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np

from ....utils.array_files import Array, DamagedArray, array_of, map_array
from ....utils.errors import UserError
from ....utils.names import normal_form
from ....utils.zip_files import Archive, DamagedZip
from ...store.clip import Clip
from ..formats.base import BadClip, Entry, Source
from ..formats.clip_builder import ClipMetadata, build_clip
from ..formats.listing import files_below, is_junk, size_of, tally
from ..formats.recordings import merge_copies
from ..formats.sniff import ARRAY, ZIP, why_unreadable
from ..formats.timing import FASTEST, SLOWEST, Timing

_logger = logging.getLogger(__name__)
_LIMIT_BYTES = 256 << 20
_MARK = re.compile(r"(?<![A-Za-z])([SCPR])(\d{1,6})(?!\d)", re.ASCII)
# Text that may be intended as a mark: small letters, too many digits, a separator, or a whole word.
_UNREAD_MARK = re.compile(
    r"(?<![A-Za-z])(?:[scpr]\d+|[SCPR]\d{7,}|[SCPRscpr][-_ ]\d+"
    r"|(?i:subject|subj|person|performer|actor|camera|cam|view|setup)[-_ ]?\d+)(?!\d)",
    re.ASCII,
)
_SHOWN = 3
_ENDINGS = (".npy", ".npz")
_JOINTS = "joints"
_ARRAYS = (_JOINTS, "confidence", "times", "fps")


class Reader:
    """Reader of `.npy` and `.npz` clips, which are named after their paths."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._labels = {normal_form(name): label for label, name in enumerate(source.classes)}

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the `.npy` and `.npz` files in the class folders of `raw`; a warning lists all other files.

        Raises:
            UserError: the subfolders of `raw` are not the classes of the data set, or they hold no clip.
        """
        folders = _class_folders(raw, self._source.classes)
        files = [path for folder in folders for path in files_below(folder)]
        clips = [path for path in files if path.suffix.lower() in _ENDINGS]
        others = [path for path in files if path.suffix.lower() not in _ENDINGS]
        loose = [path for path in sorted(raw.iterdir()) if path.is_file() and not is_junk(PurePath(path.name))]
        seen = tally(str(path.relative_to(raw)) for path in [*others, *loose])
        if not clips:
            raise UserError(
                f"There are no clips in the class folders of {raw}{f' but {seen}' if seen else ''}: "
                "expected files class_name/clip.npy."
            )
        if seen:
            _logger.warning("Not read in %s, where .npy files in class folders are: %s.", raw, seen)
        return merge_copies((_entry(raw, path) for path in clips), raw)

    def read(self, entry: Entry) -> Clip:
        """Read and centre one clip.

        Raises:
            BadClip: it is not an array of the layout's shape, or its confidences or times are impossible.
            DroppedClip: no body is present in any frame.
        """
        arrays = _load_npz(entry) if entry.path.suffix.lower() == ".npz" else {_JOINTS: _load(entry)}
        joints, confidence = arrays[_JOINTS], arrays.get("confidence")
        if joints.ndim == 3:
            joints = joints[None]  # (M, T, V, C)
            confidence = confidence[None] if confidence is not None else None
        class_name, _, rest = entry.name.partition("/")
        return build_clip(
            entry.name,
            _describe(rest, self._labels[class_name]),
            joints,
            self._source,
            confidence=confidence,
            timing=_timing(entry.name, arrays),
        )


def unread_marks(names: Iterable[str]) -> str:
    """Return text in the names of clips (`class_name/clip`) that resembles a mark, but is not read as one.

    Returns:
        Such as `s01, p_3 and 4 more`, the most frequent ones first; empty if there are none.
    """
    found = Counter(mark for name in names for mark in _UNREAD_MARK.findall(name.partition("/")[2] or name))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(mark for mark, _ in found.most_common(_SHOWN)) + more


def _class_folders(raw: Path, classes: Sequence[str]) -> list[Path]:
    """Return the class folders in `raw`, which have to be those of the data set."""
    folders = _subfolders(raw)
    _refuse_equal_names(f"In {raw} the folders", [path.name for path in folders])
    _refuse_equal_names("In data.classes", classes)
    listed = {normal_form(name): name for name in classes}
    found = {normal_form(path.name): path.name for path in folders}
    if found.keys() == listed.keys():
        return folders
    if not found.keys() & listed.keys():
        _suggest_another_folder(raw, folders, set(listed))
    unlisted = [name for form, name in found.items() if form not in listed]
    missing = [name for form, name in listed.items() if form not in found]
    problems = [
        *_describe_each(unlisted, missing, "the folder {} is not listed in data.classes"),
        *_describe_each(missing, unlisted, "the class {} has no folder"),
    ]
    raise UserError(
        f"The folders in {raw} are not the classes of the data set: {'; '.join(problems)}. Rename the folders, or list "
        "their names under data.classes. A class without clips needs an empty folder."
    )


def _subfolders(raw: Path) -> list[Path]:
    if raw.is_file():
        raise UserError(f"{raw} is a file: give --raw the folder of the class folders, unpacked if it is an archive.")
    try:
        return sorted(path for path in raw.iterdir() if path.is_dir() and not is_junk(PurePath(path.name)))
    except OSError as error:
        raise UserError(f"Cannot look for class folders in {raw}: {error.strerror}.") from error


def _refuse_equal_names(where: str, names: Sequence[str]) -> None:
    """Refuse names that differ only in the Unicode form of their accents."""
    by_form: dict[str, str] = {}
    for name in names:
        form = normal_form(name)
        if form in by_form:
            raise UserError(f"{where} {by_form[form]!a} and {name!a} are the same name, {form!r}: keep one of them.")
        by_form[form] = name


def _suggest_another_folder(raw: Path, folders: Sequence[Path], listed: set[str]) -> None:
    """Refuse a raw folder that is one level above the class folders, or is itself one of them."""
    lower = [path for path in folders if listed & {normal_form(each.name) for each in _subfolders(path)}]
    if lower:
        options = " or ".join(f"--raw {path}" for path in lower[:_SHOWN])
        raise UserError(f"The class folders are one level below {raw}: use {options}.")
    if normal_form(raw.absolute().name) in listed:
        raise UserError(f"{raw} is itself the folder of a class: use --raw {raw.absolute().parent}.")


def _describe_each(names: Sequence[str], others: Sequence[str], sentence: str) -> list[str]:
    """Return the sentence about each of the first names, with the most similar one of the others."""
    folded = {name.casefold(): name for name in others}
    described = []
    for name in names[:_SHOWN]:
        near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
        described.append(sentence.format(repr(name)) + (f" (nearest: {folded[near[0]]!r})" if near else ""))
    if len(names) > _SHOWN:
        described.append(f"the same for {len(names) - _SHOWN} more")
    return described


def _entry(raw: Path, path: Path) -> Entry:
    name = normal_form(path.relative_to(raw).with_suffix("").as_posix())
    return Entry(name, path, "", size_of(path))


def _describe(path: str, label: int) -> ClipMetadata:
    """Return the metadata from the marks in a clip's path; the last, innermost mark of a letter counts."""
    marks = {letter: int(digits) for letter, digits in _MARK.findall(path)}
    setup, camera, subject, replication = (marks.get(letter, 0) for letter in "SCPR")
    return ClipMetadata(label, subject, camera, setup, replication)


def _timing(name: str, arrays: Mapping[str, Array]) -> Timing:
    times, fps = arrays.get("times"), arrays.get("fps")
    if times is not None:
        if times.dtype.kind not in "fiu":
            raise BadClip(name, 0, f"`times` holds {times.dtype}, not seconds")
        return Timing(times=times.astype(np.float64))
    if fps is None:
        return Timing()
    if fps.shape != () or fps.dtype.kind not in "fiu" or not SLOWEST <= float(fps) <= FASTEST:
        raise BadClip(name, 0, f"`fps` should be one number from {SLOWEST:g} to {FASTEST:g}")
    return Timing(fps=float(fps))


def _load_npz(entry: Entry) -> dict[str, Array]:
    """Return the arrays of a clip by their names."""
    try:
        with Archive(entry.path) as archive:
            names = [name for name in _ARRAYS if archive.find(f"{name}.npy")]
            if _JOINTS not in names:
                there = ", ".join(member.name.removesuffix(".npy")[:40] for member in archive.members[:_SHOWN])
                raise BadClip(entry.name, 0, f"holds {there or 'no array'}; expected an array named `{_JOINTS}`")
            members = [archive.find(f"{name}.npy") for name in names]
            if sum(member.size for member in members if member) > _LIMIT_BYTES:
                raise BadClip(entry.name, 0, f"holds more than {_LIMIT_BYTES} bytes, too much for one clip")
            read = (archive.read(member, _LIMIT_BYTES) for member in members if member)
            return {name: array_of(data) for name, data in zip(names, read, strict=True)}
    except (OSError, DamagedZip, DamagedArray) as error:
        raise BadClip(
            entry.name, 0, f"is not a readable .npz file: {why_unreadable(entry.path, ZIP, error)}"
        ) from error


def _load(entry: Entry) -> Array:
    if entry.size > _LIMIT_BYTES:
        raise BadClip(entry.name, 0, f"is larger than {_LIMIT_BYTES} bytes, too large for one clip")
    try:
        return map_array(entry.path)
    except (OSError, DamagedArray) as error:
        raise BadClip(
            entry.name, 0, f"is not a readable .npy array: {why_unreadable(entry.path, ARRAY, error)}"
        ) from error
