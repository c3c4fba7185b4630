"""What a killed process left half-written is removed by those that write there later; nothing else is."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import last
from last.runs.folder import RunFolder
from last.utils import leftovers
from last.utils.files import copy_files, write_csv, write_json, write_text

SOURCE = Path(last.__file__).parent
DAYS = 24 * 3600.0


def aged(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("half")
    moment = time.time() - days * DAYS
    os.utime(path, (moment, moment))
    return path


def _copy_some_files(folder: Path) -> None:
    write_text(folder.parent / "source" / "a.txt", "a")
    copy_files(folder.parent / "source", folder / "copy")


def _copy_a_run(folder: Path) -> None:
    run = RunFolder(folder.parent / "run-2026-11-23")
    write_text(run.config, "seed: 0\n")
    run.copy_to(folder)


WRITERS: dict[str, Callable[[Path], object]] = {
    "a text": lambda folder: write_text(folder / "a.txt", "a"),
    "a table": lambda folder: write_csv(folder / "a.csv", ["a"], []),
    "a record": lambda folder: write_json(folder / "a.json", {}),
    "copied files": _copy_some_files,
    "a copied run": _copy_a_run,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_removes_old_leftovers_in_its_folder(tmp_path: Path, writer: str) -> None:
    file = aged(tmp_path / "out" / ".report.json.last-123.tmp", days=2)
    inner = aged(tmp_path / "out" / ".run-2026-11-22.last-9.tmp" / "config.yaml", days=2)
    os.utime(inner.parent, (time.time() - 2 * DAYS,) * 2)
    WRITERS[writer](tmp_path / "out")
    assert not file.exists()
    assert not inner.parent.exists()


@pytest.mark.parametrize(
    ("name", "days"),
    [
        (".report.json.last-123.tmp", 0.5),  # perhaps it is being written
        (".report.json.123.tmp", 9),  # of another program
        (".last-123.tmp", 9),
        ("report.json.last-123.tmp", 9),
        (".report.json.last-123.tmp.txt", 9),
        (".report.json.last-one.tmp", 9),
    ],
)
def test_what_may_still_be_of_use_stays(tmp_path: Path, name: str, days: float) -> None:
    path = aged(tmp_path / name, days)
    write_text(tmp_path / "a.txt", "a")
    assert path.exists()


def test_a_link_in_the_place_of_a_leftover_is_removed_and_not_followed(tmp_path: Path) -> None:
    kept = aged(tmp_path / "elsewhere" / "kept.txt", days=2)
    (tmp_path / "out").mkdir()
    link = tmp_path / "out" / ".a.last-1.tmp"
    link.symlink_to(kept.parent)
    os.utime(link, (time.time() - 2 * DAYS,) * 2, follow_symlinks=False)
    write_text(tmp_path / "out" / "a.txt", "a")
    assert not link.is_symlink()
    assert kept.exists()


def test_every_half_written_name_is_made_in_one_place() -> None:
    others = [path for path in SOURCE.rglob("*.py") if path != Path(leftovers.__file__)]
    own_names = {path.name for path in others if re.search(r"getpid\(\)\}\.tmp|import tempfile", path.read_text())}
    # files in the system's folder for temporary files, for other programs or processes
    assert own_names == {"bvh.py", "view.py", "students.py", "start_recipe.py"}
