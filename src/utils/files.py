"""Files that are either whole or absent: written beside their place, flushed, then renamed."""

import csv
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import UserError
from .json_text import parse_json
from .regular_files import open_regular

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission was denied",
    errno.EPERM: "permission was denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "a file of that name is in the way",
}
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def reason(error: OSError) -> str:
    """Return the cause that a user can do something about, in plain words; empty where there is none."""
    return _REASONS.get(error.errno or 0, "")


def unwritable(path: Path, error: OSError) -> UserError:
    """Return the user error for a path that could not be written, with its cause and a way out."""
    remedy = "Free some space there or choose" if error.errno in _NO_SPACE else "Choose"
    return UserError(f"{failure(path, error)} {remedy} another place.")


def failure(path: Path, error: OSError) -> str:
    """Return a sentence that says which file could not be written and why."""
    return f"Cannot write {path}: {reason(error) or error.strerror or error}."


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block succeeds, flush it and rename it into place.

    Raises:
        UserError: the folder cannot be made or written, or the disk is full. Nothing half-written stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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
        raise unwritable(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with one header row to `path`, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
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
        raise unwritable(path, error) from error
    return path


def copy_files(source: Path, target: Path) -> None:
    """Copy the files below a folder into a new folder, which is whole or absent; hidden ones are left out.

    Rights are not copied: those of a read-only place would make the copy read-only too.

    Raises:
        UserError: it cannot be written; nothing of it stays.
    """
    hidden = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        for path in source.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                place = hidden / path.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
        hidden.replace(target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def read_json(path: Path, limit_bytes: int = 64 << 20) -> Mapping[str, Any]:
    """Read a JSON object from `path`.

    Raises:
        UserError: the file is missing, larger than `limit_bytes`, not JSON, or not an object.
    """
    try:
        if path.stat().st_size > limit_bytes:
            raise UserError(f"{path} is larger than {limit_bytes} bytes, too large for what it should hold.")
        with open_regular(path) as file:
            value = parse_json(file.read(limit_bytes + 1).decode("utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} should hold a JSON object, not a {type(value).__name__}.")
    return value


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
