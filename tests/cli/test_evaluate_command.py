"""The command `evaluate`: where its report goes and what it refuses before it computes."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from last.cli import evaluate_output as command
from last.cli.evaluate import _folder_parts
from last.evaluation.request import EvalRequest, TestTime
from last.evaluation.tested import TestedModel
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.runs.folder import RunFolder


@pytest.fixture
def run(trained_run: Callable[..., RunFolder]) -> RunFolder:
    return trained_run("epochs=1", "data.protocols.other={by: subject, train: [2]}")


def test_it_reports_into_the_folder_of_the_run(cli: Callable, run: RunFolder) -> None:
    result = cli("evaluate", "--checkpoint", run.last)
    assert result.code == 0
    assert result.out.splitlines()[-1] == f"The report is in {run.path / 'evaluation' / 'last-test'}"
    assert (run.path / "evaluation" / "last-test" / "confusion.png").exists()


def test_another_protocol_leaves_the_report_of_the_runs_own_alone(cli: Callable, run: RunFolder) -> None:
    cli("evaluate", "--checkpoint", run.last)
    own = (run.path / "evaluation" / "last-test" / "metrics.json").read_bytes()
    assert cli("evaluate", "--checkpoint", run.last, "--split", "other").code == 0
    assert (run.path / "evaluation" / "last-other-test" / "metrics.json").exists()
    assert (run.path / "evaluation" / "last-test" / "metrics.json").read_bytes() == own


def test_missing_matplotlib_is_reported_once_and_before_anything_is_computed(
    cli: Callable, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = cli("evaluate", "--checkpoint", run.last, "--quiet")
    assert (result.code, result.err.count("last-har[plots]")) == (0, 1)
    assert not (run.path / "evaluation" / "last-test" / "confusion.png").exists()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TestedModel, "predict", interrupt)
    assert "last-har[plots]" in cli("evaluate", "--checkpoint", run.last).err


def test_a_matplotlib_that_cannot_be_imported_leaves_the_figures_and_is_reported_with_its_reason(
    cli: Callable, run: RunFolder, replace_package: Callable
) -> None:
    replace_package("matplotlib", 'raise ImportError("numpy.core.multiarray failed to import")')
    result = cli("evaluate", "--checkpoint", run.last, "--quiet")
    assert (result.code, result.err.count("numpy.core.multiarray failed to import")) == (0, 1)
    assert (run.path / "evaluation" / "last-test" / "metrics.json").exists()


def test_a_place_that_cannot_be_written_is_reported_before_anything_is_computed(
    cli: Callable, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr(TestedModel, "predict", lambda *_, **__: pytest.fail("the clips were classified in vain"))
    result = cli("evaluate", "--checkpoint", run.last, "--out", tmp_path / "taken")
    assert result.code == 2
    assert result.err.startswith("error: Cannot write ")


def test_a_run_is_named_by_its_folder_or_as_the_latest(cli: Callable, run: RunFolder) -> None:
    for named in (run.path, run.checkpoints, "latest"):
        result = cli("evaluate", "--checkpoint", named, "--output_root", run.path.parent)
        assert result.code == 0, result.err
        assert f"Checkpoint: {run.last}" in result.err


def test_the_report_of_a_run_that_cannot_be_written_goes_into_the_output_folder(
    cli: Callable, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: not Path(path).is_relative_to(run.path))
    before = sorted(run.path.rglob("*"))
    result = cli("evaluate", "--checkpoint", run.path, "--output_root", tmp_path / "working")
    assert result.code == 0, result.err
    report = tmp_path / "working" / "evaluation" / f"runs-{run.path.name}" / "last-test"
    assert (report / "metrics.json").exists()
    assert "is read-only" in result.err
    assert "--out chooses another folder" in result.err
    assert sorted(run.path.rglob("*")) == before


def test_a_data_root_that_is_named_is_where_the_data_are_or_nothing(
    cli: Callable, run: RunFolder, tmp_path: Path
) -> None:
    result = cli("evaluate", "--checkpoint", run.path, "--data_root", tmp_path / "typo")
    assert result.code == 2
    assert f"searched the folders below {tmp_path / 'typo'}." in result.err


def test_reports_of_read_only_runs_of_one_name_lie_apart(
    cli: Callable, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAST_KAGGLE", str(tmp_path / "kaggle"))
    (tmp_path / "kaggle" / "working").mkdir(parents=True)
    for session_name in ("one", "two"):
        folder = tmp_path / "kaggle" / "input" / session_name / run.path.name
        shutil.copytree(run.path, folder)
        assert cli("evaluate", "--checkpoint", folder).code == 0
    reports = sorted(path.name for path in (tmp_path / "kaggle" / "working" / "evaluation").iterdir())
    assert reports == [f"one-{run.path.name}", f"two-{run.path.name}"]


def test_the_data_of_a_run_from_another_place_are_found_in_the_environments_folders(
    cli: Callable, run: RunFolder, tmp_path: Path, data_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = read_checkpoint(run.last)
    gone = replace(checkpoint, config=replace(checkpoint.config, data_root="/nowhere/data"))
    save_checkpoint(run.last, gone)
    monkeypatch.setenv("LAST_KAGGLE", str(tmp_path / "kaggle"))
    shutil.copytree(data_yaml.parent / "data" / "tiny", tmp_path / "kaggle/input/datasets/owner/my-store")
    (tmp_path / "kaggle/working").mkdir()
    result = cli("evaluate", "--checkpoint", run.path)
    assert result.code == 0, result.err


def test_the_worst_classes_are_named_with_how_many_there_are(
    cli: Callable, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("evaluate", "--checkpoint", run.last, "--out", tmp_path / "report")
    assert "\nall 3 classes, worst first\n" in cli(*asked).out
    monkeypatch.setattr(command, "_WORST_SHOWN", 2)
    assert "\n2 of 3 classes, worst first\n" in cli(*asked).out


def test_top_5_of_few_classes_is_said_to_say_nothing_once_with_and_without_details(
    cli: Callable, run: RunFolder
) -> None:
    for further in ((), ("--details",)):
        shown = cli("evaluate", "--checkpoint", run.path, "--device", "cpu", "--env", "local", *further).out
        assert shown.count("top-5 counts every clip that has a score") == 1


def test_accuracies_stand_below_each_other_by_their_decimal_point(cli: Callable, run: RunFolder) -> None:
    lines = cli("evaluate", "--checkpoint", run.last).out.splitlines()
    first = next(index for index, line in enumerate(lines) if "worst first" in line)
    end = lines[first + 1].index("accuracy %") + len("accuracy %")
    assert [line[end - 2 : end - 1] for line in lines[first + 2 : first + 5]] == [".", ".", "."]


def test_an_average_at_test_time_is_a_column_beside_the_plain_figures(cli: Callable, run: RunFolder) -> None:
    result = cli("evaluate", "--checkpoint", run.last, "--crops", 2, "--turns", -15, 15)
    assert result.code == 0, result.err
    plain = cli("evaluate", "--checkpoint", run.last).out
    top1 = re.findall(r"^top-1 +(\S+) %", plain, flags=re.MULTILINE)
    assert re.findall(r"^top-1 +(\S+) % +\S+ %$", result.out, flags=re.MULTILINE) == top1
    assert "average of 6 looks: 2 crops, turned by -15 and 15 degrees" in result.out
    assert "average of" not in plain and "details" not in plain


@pytest.mark.parametrize(
    "wrong", [("--crops", 0), ("--crops", 1), ("--crops", 65), ("--turns", 200), ("--weights", "best")]
)
def test_impossible_averages_are_refused(cli: Callable, run: RunFolder, wrong: tuple[object, ...]) -> None:
    result = cli("evaluate", "--checkpoint", run.last, *wrong)
    assert result.code == 2 and str(wrong[0]) in result.err


def test_the_page_lies_beside_the_report_unless_a_file_is_named(cli: Callable, run: RunFolder, tmp_path: Path) -> None:
    result = cli("evaluate", "--checkpoint", run.path, "--report")
    page = run.path / "evaluation" / "last-test" / "report.html"
    assert result.code == 0 and result.out.splitlines()[-1] == f"Page: {page}"
    named = tmp_path / "named.html"
    assert cli("evaluate", "--checkpoint", run.path, "--report", named, "--mirror").code == 0
    words = re.findall(r"<span>(.*?)</span>", named.read_text(encoding="utf-8"))
    typed = " ".join(words[words.index("evaluate") :][:6])
    assert typed == f"evaluate --checkpoint {run.last} --mirror --report {named}"


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_computed(
    cli: Callable, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr(TestedModel, "predict", lambda *_, **__: pytest.fail("the clips were classified in vain"))
    result = cli("evaluate", "--checkpoint", run.last, "--report", tmp_path / "taken" / "report.html")
    assert result.code == 2 and "Cannot write" in result.err


def test_evaluations_that_differ_have_folders_of_their_own() -> None:
    one, others = Path("a/last.pth"), [Path("b/last.pth"), Path("c/last.pth")]
    requests = [
        EvalRequest(one),
        *(EvalRequest(one, members=[other]) for other in others),
        EvalRequest(one, members=others),
        EvalRequest(one, members=others[:1], weights="train"),
        EvalRequest(one, metrics=["brier"]),
        *(EvalRequest(one, compare=other) for other in others),
        *(EvalRequest(one, test_time=each) for each in (TestTime(5), TestTime(turns=[15]), TestTime(mirror=True))),
    ]
    names = ["-".join(filter(None, _folder_parts(each))) for each in requests]
    assert len(set(names)) == len(names) and names[0] == "last-test"
    assert _folder_parts(EvalRequest(one, members=others)) == _folder_parts(EvalRequest(one, members=others[::-1]))


def test_several_networks_have_a_folder_and_a_table_of_their_own(
    cli: Callable, run: RunFolder, train_once: Callable[..., RunFolder]
) -> None:
    other = train_once("epochs=1", "data.protocols.other={by: subject, train: [2]}", "seed=1").last
    result = cli("evaluate", "--checkpoint", run.last, "--checkpoint", other, "--details", "--robustness")
    assert result.code == 0, result.err
    (report,) = (run.path / "evaluation").glob("last-test-ensemble_of_2_*")
    assert all((report / f"{name}.json").exists() for name in ("metrics", "details", "robustness"))
    assert "2 networks; the weights are equal" in result.out and "all, summed" in result.out
    assert "calibration error" in result.out and "missing joints" in result.out
    assert "Streams: not available: several networks were tested" in result.out


def test_two_networks_are_compared_on_the_same_clips(
    cli: Callable, run: RunFolder, train_once: Callable[..., RunFolder]
) -> None:
    same = Path(shutil.copy(run.last, run.last.with_name("same.pth")))
    result = cli("evaluate", "--checkpoint", run.last, "--compare", same)
    assert result.code == 0, result.err
    assert re.search(r"difference, with its 95 % interval +\+0.00 \(no interval\)", result.out)
    assert re.search(r"p of McNemar's exact test +1.0000", result.out)
    (report,) = (run.path / "evaluation").glob("last-test-compared_*")
    written = json.loads((report / "metrics.json").read_text())["comparison"]
    assert (written["only_this"], written["only_other"], written["p"]) == (0, 0, 1.0)


def test_a_comparison_of_different_clips_is_refused(cli: Callable, run: RunFolder, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(run.last)
    other = tmp_path / "other.pth"
    config = checkpoint.config
    save_checkpoint(other, replace(checkpoint, config=replace(config, data=replace(config.data, split="other"))))
    result = cli("evaluate", "--checkpoint", run.last, "--compare", other)
    assert result.code == 2 and "A comparison that is tested on different clips" in result.err
