"""What the readers of class folders share: finding the recordings, their labels, and the marks in their names.

The subfolders of the raw folder are the classes listed in the data YAML; a recording may also be in a subfolder of its
class's folder. Marks in its path below the folder of its class give the metadata, with NTU's letters and up to six
digits: setup S, camera C, performer P, replication R, as in `walk_P7.npy`, `P007/walk.npy` or `S001C002P007R001.npy`.
Without a mark a value is 0.
"""

import difflib
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePath
from typing import ClassVar

from ....utils.errors import UserError
from ....utils.names import first_few, normal_form
from ....utils.system_errors import reason
from .base import Entry, Source
from .clip_builder import ClipMetadata
from .listing import files_below, is_junk, size_of, tally
from .recordings import merge_copies

_logger = logging.getLogger(__name__)
_MARK = re.compile(r"(?<![A-Za-z])([SCPR])(\d{1,6})(?!\d)", re.ASCII)
# Text that may be intended as a mark: small letters, too many digits, a separator, or a whole word.
_UNREAD_MARK = re.compile(
    r"(?<![A-Za-z])(?:[scpr]\d+|[SCPR]\d{7,}|[SCPRscpr][-_ ]\d+"
    r"|(?i:subject|subj|person|performer|actor|camera|cam|view|setup)[-_ ]?\d+)(?!\d)",
    re.ASCII,
)
_SHOWN = 3


class ClassFolderReader:
    """Base of the readers whose recordings are in class folders; each is named after its path.

    Attributes:
        endings: of the files that are read, in lower case, dot included; the first one is shown in messages.
        expected: where a file is expected, for messages: `class_name/clip.npy`.
        names_classes: the labels are names of classes.
    """

    names_classes: ClassVar[bool] = True
    endings: ClassVar[tuple[str, ...]]
    expected: ClassVar[str]

    def __init__(self, source: Source) -> None:
        self.source = source
        self._labels = {normal_form(name): label for label, name in enumerate(source.classes)}

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the recordings in the class folders of `raw`; a warning lists all other files.

        Raises:
            UserError: the subfolders of `raw` are not the classes of the data set, or they hold no recording.
        """
        if not self.source.has_labels:
            return self._in_any_folder(raw)
        folders = class_folders(raw, self.source.classes, self.source.merged)
        files = [path for folder in folders for path in files_below(folder)]
        read = [path for path in files if self.is_read(path)]
        others = [path for path in files if not self.is_read(path)]
        loose = [path for path in sorted(raw.iterdir()) if path.is_file() and not is_junk(PurePath(path.name))]
        seen = tally(str(path.relative_to(raw)) for path in [*others, *loose])
        if not read:
            raise UserError(
                f"There are no clips in the class folders of {raw}{f' but {seen}' if seen else ''}: "
                f"expected files {self.expected}."
            )
        if seen:
            _logger.warning("Not read in %s, where %s files in class folders are: %s.", raw, self.endings[0], seen)
        return merge_copies(self.entries_of(raw, read), raw)

    def _in_any_folder(self, raw: Path) -> Sequence[Entry]:
        """List the recordings anywhere in the folder `raw`, or the file `raw` itself."""
        root = raw.parent if raw.is_file() else raw
        files = [raw] if raw.is_file() else [each for each in files_below(raw) if not self.source.is_table(each)]
        read = [path for path in files if self.is_read(path)]
        others = tally(str(path.relative_to(root)) for path in files if not self.is_read(path))
        if not read:
            ending = self.expected.partition("/")[2]
            raise UserError(
                f"There are no recordings in {raw}{f' but {others}' if others else ''}: expected files {ending}."
            )
        if others:
            _logger.warning("Not read in %s, where recordings are %s files: %s.", raw, self.endings[0], others)
        return merge_copies(self.entries_of(root, read), raw)

    def is_read(self, path: Path) -> bool:
        """Tell whether a file has the name of a recording, or of a part of one."""
        return path.name.lower().endswith(self.endings)

    def entries_of(self, raw: Path, files: Sequence[Path]) -> Iterable[Entry]:
        """Return the recordings that consist of these files: here, each is one."""
        for path in files:
            ending = max((each for each in self.endings if path.name.lower().endswith(each)), key=len)
            yield Entry(name_below(raw, path.with_name(path.name[: -len(ending)])), path, "", size_of(path))

    def describe(self, name: str) -> ClipMetadata:
        """Return the label of a recording, and what the marks in its name tell; of each letter the innermost counts."""
        class_name, _, rest = name.partition("/") if self.source.has_labels else ("", "", name)
        marks = read_marks(rest)
        setup, camera, subject, replication = (marks.get(letter, 0) for letter in "SCPR")
        label = self._labels[class_name] if self.source.has_labels else 0
        return ClipMetadata(label, subject, camera, setup, replication)

    def find_classes(self, raw: Path) -> list[str]:
        """Return the names of the class folders."""
        return [path.name for path in _subfolders(raw)]

    def metadata(self, entry: Entry) -> ClipMetadata:
        """Return the label of a recording and what the marks in its name tell."""
        return self.describe(entry.name)


def read_marks(path: str) -> dict[str, int]:
    """Return the marks in a path by their letters; of each the last, innermost one."""
    return {letter: int(digits) for letter, digits in _MARK.findall(path)}


def name_below(raw: Path, path: Path) -> str:
    """Return the name of a recording in `raw` from its path, `class_name/clip`."""
    return normal_form(path.relative_to(raw).as_posix())


def unread_marks(names: Iterable[str]) -> str:
    """Return text in the names of clips (`class_name/clip`) that resembles a mark, but is not read as one.

    Returns:
        Such as `s01, p_3 and 4 more`, the most frequent ones first; empty if there are none.
    """
    found = Counter(mark for name in names for mark in _UNREAD_MARK.findall(name.partition("/")[2] or name))
    return first_few([mark for mark, _ in found.most_common()], _SHOWN)


def class_folders(raw: Path, classes: Sequence[str], optional: Collection[str] = ()) -> list[Path]:
    """Return the class folders in `raw`; those of `optional` need not exist.

    Raises:
        UserError: they are not those of the data set.
    """
    folders = _subfolders(raw)
    _refuse_equal_names(f"In {raw} the folders", [path.name for path in folders])
    _refuse_equal_names("In data.classes", classes)
    listed = {normal_form(name): name for name in classes}
    found = {normal_form(path.name): path.name for path in folders}
    if found.keys() <= listed.keys() and listed.keys() - found.keys() <= set(optional):
        return folders
    if not found.keys() & listed.keys():
        _suggest_another_folder(raw, folders, set(listed))
    unlisted = [name for form, name in found.items() if form not in listed]
    missing = [name for form, name in listed.items() if form not in found and form not in optional]
    problems = [
        *_describe_each(unlisted, missing, "the folder {} is not listed in data.classes"),
        *_describe_each(missing, unlisted, "the class {} has no folder"),
    ]
    raise UserError(
        f"The folders in {raw} are not the classes of the data set: {'; '.join(problems)}. Rename the folders, or list "
        "their names under data.classes or data.class_map. A class without clips needs an empty folder."
    )


def _subfolders(raw: Path) -> list[Path]:
    if raw.is_file():
        raise UserError(f"{raw} is a file: give --raw the folder of the class folders, unpacked if it is an archive.")
    try:
        return sorted(path for path in raw.iterdir() if path.is_dir() and not is_junk(PurePath(path.name)))
    except OSError as error:
        raise UserError(f"Cannot look for class folders in {raw}: {reason(error)}.") from error


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
