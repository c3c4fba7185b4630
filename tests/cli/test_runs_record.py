"""The command `runs record`: records of the runs that are named, or none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from last.runs.folder import RunFolder
from last.runs.records import read_record


def test_named_runs_are_recorded(
    cli: Callable, trained_run: Callable[..., RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained_run("epochs=2")
    monkeypatch.chdir(tmp_path)
    result = cli("runs", "record", run.path.name, "--output_root", run.path.parent)
    (path,) = (tmp_path / "results").glob("*.json")
    assert (result.code, path.stem in result.out) == (0, True)
    assert json.loads(path.read_text())["model"] == "nano_e"


def test_the_latest_run_is_recorded_in_a_chosen_folder(
    cli: Callable, trained_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    run = trained_run("epochs=2")
    out = tmp_path / "paper" / "results"
    assert cli("runs", "record", "latest", "--out", out, "--output_root", run.path.parent).code == 0
    assert len(list(out.glob("*.json"))) == 1


def test_nothing_is_written_if_one_of_the_runs_cannot_be_recorded(
    cli: Callable, trained_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    good = trained_run("epochs=2")
    bad = RunFolder(Path(shutil.copytree(good.path, good.path.parent / "run-2026-01-01")))
    bad.summary.unlink()
    result = cli("runs", "record", good.path, bad.path, "--out", tmp_path / "out", "--output_root", good.path.parent)
    assert (result.code, "is not finished, so it has no result to record" in result.err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_an_unknown_run_is_refused(cli: Callable, tmp_path: Path) -> None:
    result = cli("runs", "record", "run-2026-01-01", "--output_root", tmp_path)
    assert (result.code, "'run-2026-01-01' is no run under" in result.err) == (2, True)


def test_the_figures_of_a_measurement_are_recorded_with_their_name_and_command(cli: Callable, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"top1": 71.25}')
    given = ("--figures", tmp_path / "metrics.json", "--name", "robustness", "--by", "last evaluate")
    result = cli("runs", "record", *given, "--out", tmp_path / "out", "--output_root", tmp_path)
    (path,) = (tmp_path / "out").glob("robustness-*.json")
    content = json.loads(path.read_text())
    assert (result.code, content["name"], content["command"]) == (0, "robustness", "last evaluate")
    assert "1 figure" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name the runs to record, or a file of figures with --figures: one of the two."),
        (("--figures", "metrics.json"), "--name says what the figures of --figures are"),
        (("--name", "robustness"), "Name the runs to record"),
        (("--figures", "metrics.json", "--name", "x", "--tested", "xview"), "Cannot read metrics.json"),
        (("run", "--tested", "tiny:xsub"), "is no run under"),
        (("--amend", "x.json"), "--amend RECORD goes with --tested alone"),
        (("--amend", "x.json", "--tested", "a:b", "--name", "x"), "--amend RECORD goes with --tested alone"),
        (("--figures", "metrics.json", "--name", "x"), "Cannot read metrics.json"),
    ],
)
def test_unclear_commands_are_refused(
    arguments: tuple[str, ...], message: str, cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("runs", "record", *arguments, "--output_root", tmp_path)
    assert (result.code, message in result.err) == (2, True)


def test_what_a_measurement_was_tested_on_is_recorded_and_can_be_amended_without_its_figures(
    cli: Callable, tmp_path: Path
) -> None:
    (tmp_path / "metrics.json").write_text('{"top1": 71.25}')
    given = ("--figures", tmp_path / "metrics.json", "--name", "sum", "--out", tmp_path / "out")
    assert cli("runs", "record", *given, "--tested", "tiny:xsub:6", "tiny:xview").code == 0
    (path,) = (tmp_path / "out").glob("*.json")
    before = read_record(path).content
    assert before["tested"] == {"tiny:xsub": 6, "tiny:xview": 1}
    assert cli("runs", "record", "--amend", path, "--tested", "tiny:xsub:2").code == 0
    after = read_record(path).content
    assert after["tested"] == {"tiny:xsub": 2} and after["checksum"] != before["checksum"]
    assert {**before, "tested": 0, "checksum": 0} == {**after, "tested": 0, "checksum": 0}
    for wrong in (("xsub",), ("tiny:xsub:0",), ("tiny:xsub:many",), ("tiny:xsub", "tiny:xsub:2"), ("a:b:1:2",)):
        refused = cli("runs", "record", "--amend", path, "--tested", *wrong)
        assert refused.code == 2 and f"--tested {wrong[-1]} is" in refused.err
    assert read_record(path).content == after
