"""The command `runs clean`: a list first, a removal only when it is asked for."""

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

MONTH_S = 30 * 86_400.0


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return an unfinished run of a month ago, older than a finished one."""
    for name, files in {
        "run-2026-01-01": ("config.yaml", "checkpoints/last.pth"),
        "run-2026-01-02": ("config.yaml", "checkpoints/last.pth", "summary.json"),
    }.items():
        for file in files:
            path = tmp_path / "runs" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("model: {name: nano_e}\ndata: {name: tiny}\n" if file == "config.yaml" else "{}")
            os.utime(path, (time.time() - MONTH_S, time.time() - MONTH_S))
    return tmp_path / "runs" / "run-2026-01-01"


@pytest.fixture
def clean(cli: Callable, tmp_path: Path) -> Callable:
    """Return a function that runs `last runs clean <arguments>` on the runs of the test."""
    folders = ("--output_root", tmp_path / "runs", "--data_root", tmp_path / "data")
    return lambda *arguments: cli("runs", "clean", *folders, *arguments)


def test_without_yes_it_lists_and_removes_nothing(clean: Callable, run: Path) -> None:
    result = clean()
    assert (result.code, result.err) == (0, "")
    words = re.sub(r"\s+", " ", result.out)
    assert "unfinished run-2026-01-01 0 KiB 30 the run did not end; its checkpoints go too" in words
    assert "Nothing is removed yet. The same command with --yes frees 0 KiB." in result.out
    assert run.exists()


def test_with_yes_it_removes_what_it_lists(clean: Callable, run: Path) -> None:
    result = clean("--yes")
    assert (result.code, "Removed: 1 entry" in result.out, "Freed: 0 KiB." in result.out) == (0, True, True)
    assert sorted(each.name for each in run.parent.iterdir()) == ["run-2026-01-02"]


def test_the_list_is_printed_as_json(clean: Callable, run: Path) -> None:
    facts = json.loads(clean("--json").out)
    (item,) = facts["items"]
    assert (facts["removed"], item["kind"], item["path"], item["problem"]) == (False, "unfinished", str(run), None)
    assert (round(item["age_days"]), item["bytes"], facts["bytes"]) == (30, 43, 43)
    assert json.loads(clean("--json", "--yes").out)["removed"] is True
    assert not run.exists()


@pytest.mark.parametrize("choice", [("--older_than", "31"), ("--keep_last", "2"), ("--only", "caches", "chunks")])
def test_the_options_choose_what_goes(clean: Callable, run: Path, choice: tuple[str, ...]) -> None:
    result = clean(*choice, "--yes")
    assert (result.code, result.out.startswith("Freed: 0 KiB."), run.exists()) == (0, True, True)


def test_what_stays_is_listed_with_its_reason(clean: Callable, run: Path) -> None:
    (run / "notes.md").write_text("mine")
    os.utime(run / "notes.md", (0, 0))
    result = clean()
    assert "run-2026-01-01: it holds notes.md, which is not a part of it" in result.out
    assert f"There is nothing to free in {run.parent} that is older than 7 days." in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--older_than", "-1"), "--older_than -1 should be 0 or more"),
        (("--keep_last", "-1"), "--keep_last -1 should be 0 or more"),
        (("--only", "runs"), "invalid choice: 'runs'"),
        (("--output_root", "nowhere"), "There is no folder nowhere"),
    ],
)
def test_impossible_options_are_refused(clean: Callable, run: Path, arguments: tuple[str, ...], message: str) -> None:
    result = clean(*arguments)
    assert (result.code, message in result.err) == (2, True)


def test_options_of_the_list_are_refused(cli: Callable, run: Path) -> None:
    result = cli("runs", "--model", "nano_e", "clean", "--output_root", run.parent)
    assert (result.code, "--model goes with `runs list`; `runs clean` takes all runs" in result.err) == (2, True)


def test_what_could_not_be_removed_is_an_error(clean: Callable, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    result = clean("--yes")
    assert result.code == 2
    assert f"Not everything could be removed: {run}: permission was denied." in result.err
