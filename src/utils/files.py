"""Atomic file writes (temporary file, flush, rename), bounded reads, and copies."""

import csv
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from .errors import Unwritable, UserError
from .json_text import parse_json
from .leftovers import temporary_beside
from .regular_files import open_regular, size_of_open
from .system_errors import is_lack_of_space, reason

_PIECE_BYTES = 1 << 20


def write_error(path: Path, error: OSError) -> Unwritable:
    """Return the user error for a path that could not be written, with its cause and a remedy."""
    remedy = "Free some space there or choose" if is_lack_of_space(error) else "Choose"
    return Unwritable(f"{failure(path, error)} {remedy} another place.")


def copy_error(path: Path, error: OSError) -> UserError:
    """Return the user error for a file or a folder that cannot be read for a copy."""
    return UserError(
        f"Cannot read {path} for copying: {reason(error)}. Check its permissions, or copy the folder yourself without "
        "this file."
    )


def failure(path: Path, error: OSError) -> str:
    """Return a sentence with the file that could not be written and the reason."""
    return f"Cannot write {path}: {reason(error)}."


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block succeeds, flush it and rename it into place.

    Raises:
        UserError: the folder cannot be created or written, or the disk is full. No partial file is left.
    """
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        # A path may hold bytes that are not UTF-8; JSON reads their escapes as the same path.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_once(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically, unless a file of that content is there already.

    Raises:
        UserError: it cannot be written, or a file of other content is there.
    """
    content = text.encode("utf-8", "backslashreplace")
    if path.exists() and (path.stat().st_size != len(content) or read_whole(path, len(content), "a text") != content):
        raise UserError(f"{path} is there already and has other content. Choose another folder with --out.")
    write_text(path, text)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with one header row to `path`, atomically."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def make_folder(path: Path) -> Path:
    """Create the folder `path` with its parents and return it.

    Raises:
        UserError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
    return path


def refuse_unwritable(path: Path, *, folder: bool = False) -> None:
    """Refuse a place that cannot be written, before the work whose result it is for; nothing is left there.

    Args:
        path: the file that will be written, or with `folder` the folder for several; neither has to exist.
        folder: whether it is a folder.

    Raises:
        UserError: the nearest folder that exists cannot be written, or a folder is in the place of the file.
    """
    here = path.absolute()
    try:
        if not folder and here.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        places = (here, *here.parents) if folder else here.parents
        existing = next(each for each in places if each.exists())
        probe = temporary_beside(existing / "probe")
        try:
            probe.touch()
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def copy_files(source: Path, target: Path) -> None:
    """Copy the files below a folder into a new folder, atomically and without hidden files.

    Permissions are not copied, since those of a read-only folder would make the copy read-only.

    Raises:
        UserError: a file cannot be read, or the copy cannot be written; no partial copy is left.
    """
    hidden = temporary_beside(target)
    try:
        for path in _files_below(source):
            copy = hidden / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy_file(path, copy)
        hidden.replace(target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's content, without its permissions; skip a file that is removed meanwhile.

    Raises:
        UserError: it cannot be read.
        OSError: the copy cannot be written.
    """
    try:
        shutil.copyfile(source, target)
    except OSError:  # it does not say whether reading or writing failed
        problem = _reading_problem(source)
        if problem is None:
            raise
        if not isinstance(problem, FileNotFoundError):
            raise copy_error(source, problem) from problem


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, without hidden files and folders.

    Raises:
        UserError: a folder cannot be read.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        folders = [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
        files = [entry for entry in entries if entry.is_file()]
    except OSError as error:
        raise copy_error(Path(error.filename or folder), error) from error
    yield from files
    for each in folders:
        yield from _files_below(each)


def _reading_problem(path: Path) -> OSError | None:
    """Return the error of reading a file to its end; None if it is readable."""
    try:
        with open_regular(path) as file:
            while file.read(_PIECE_BYTES):
                pass
    except OSError as error:
        return error
    return None


def read_whole(path: Path, limit_bytes: int, purpose: str) -> bytes:
    """Return all bytes of a file, which may not exceed `limit_bytes`.

    Every reader of small files uses it, so that none waits for a pipe or a device.

    Args:
        path: a regular file, or a link to one.
        limit_bytes: the maximum size.
        purpose: the expected content, such as `a configuration`.

    Raises:
        UserError: it is larger.
        OSError: it cannot be read, or is not a regular file.
    """
    with open_regular(path) as file:
        size = size_of_open(file)
        if size > limit_bytes:
            raise UserError(f"{path} is larger than {limit_bytes} bytes, too large for {purpose}.")
        try:
            content = file.read(size + 1)  # the memory for all of it is allocated at once
        except MemoryError as error:
            raise UserError(f"{path} has {size:,} bytes, more than the available memory.") from error
    if len(content) > limit_bytes:  # it has grown
        raise UserError(f"{path} is larger than {limit_bytes} bytes, too large for {purpose}.")
    return content


def read_json(path: Path, limit_bytes: int = 64 << 20) -> Mapping[str, Any]:
    """Read a JSON object from `path`.

    Raises:
        UserError: the file is missing, larger than `limit_bytes`, not JSON, or not an object.
    """
    try:
        value = parse_json(read_whole(path, limit_bytes, "what it should hold").decode("utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read {path}: {reason(error)}.") from error
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} should hold a JSON object, not a {type(value).__name__}.")
    return value


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(cast(BufferedReader, file), "sha256").hexdigest()
