"""Records of runs: what they hold, what they never hold, and which runs and files are refused."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from last.data.store.reader import open_store
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.runs.records import read_record, read_records, record_of, record_of_figures, write_record
from last.utils.errors import UserError

TrainedRun = Callable[..., RunFolder]


def changed(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({name: each for name, each in (content | values).items() if each is not None}))


def test_a_record_holds_the_results_of_every_epoch_and_of_the_best_and_the_last(trained_run: TrainedRun) -> None:
    run = trained_run("epochs=2")
    record = record_of(run.path)
    summary, rows = json.loads(run.summary.read_text()), read_rows(run.logbook)
    assert record.figure("final", "top1") == summary["final_top1"] == rows[-1]["test_top1"]
    assert record.figure("best", "top5") == summary["best_top5"]
    assert record.column("test_top1") == [round(float(row["test_top1"]), 4) for row in rows]
    assert record.column("epoch") == [0, 1]
    assert (record.content["epochs_planned"], record.content["epochs_trained"]) == (2, 2)
    assert record.content["ended"] == "all epochs"


def test_a_record_says_how_the_run_can_be_made_again(trained_run: TrainedRun) -> None:
    run = trained_run("epochs=2")
    content, summary = record_of(run.path).content, json.loads(run.summary.read_text())
    for key in ("machine", "versions", "command", "parameters", "training_clips", "test_clips", "finished"):
        assert content[key] == summary[key]
    assert (content["commit"], content["seed"], content["model"]) == (summary["git_commit"], 0, "nano_e")
    assert set(content["machine"]) == {"cpu", "cores", "system", "device", "threads"}


def test_a_record_holds_the_settings_with_the_defaults_of_today(trained_run: TrainedRun) -> None:
    config = record_of(trained_run("epochs=2").path).config
    assert (config["epochs"], config["batch_size"], config["amp"]) == (2, 4, False)
    assert (config["learning_rate"], config["data.split"], config["model.name"]) == (0.01, "xsub", "nano_e")
    unused = ("distillation.", "data.intervals.", "data.protocols.xview.")
    assert [key for key in config if key.startswith(unused) or config[key] in ("", [], {})] == []
    assert len(config["data.classes"]) == 3


def test_a_record_holds_no_path_and_nothing_of_the_recordings(
    trained_run: TrainedRun, data_yaml: Path, tmp_path: Path
) -> None:
    text = record_of(trained_run("epochs=2").path).text()
    names = [str(name) for store in (data_yaml.parent / "data").iterdir() for name in open_store(store).clips["name"]]
    assert names
    assert [name for name in names if name in text] == []
    assert str(tmp_path) not in text
    assert str(data_yaml.parent) not in text
    assert len(text) < 6000


def test_the_text_of_a_listed_split_is_replaced_by_its_digest(trained_run: TrainedRun) -> None:
    run = trained_run("epochs=2")
    config, letters = run.config.read_text(), re.compile(r"(?m)^( +parts: ).*$")
    assert letters.search(config)
    run.config.write_text(letters.sub(rf"\g<1>{'ab' * 200}", config))
    (value,) = [each for key, each in record_of(run.path).config.items() if key.endswith(".parts")]
    assert value.startswith("sha256:")


def test_a_record_of_the_same_run_has_the_same_name_and_one_of_another_seed_has_not(trained_run: TrainedRun) -> None:
    run = trained_run("epochs=2")
    first = record_of(run.path)
    assert record_of(Path(shutil.copytree(run.path, run.path.parent / "copy"))).name == first.name
    changed(run.summary, seed=1)
    second = record_of(run.path)
    assert first.name.startswith("nano_e-tiny-xsub-seed0-")
    assert first.name != second.name
    assert "seed1" in second.name


def test_what_is_written_is_read_again_and_a_second_writing_changes_nothing(
    trained_run: TrainedRun, tmp_path: Path
) -> None:
    run = trained_run("epochs=2")
    path = write_record(record_of(run.path), tmp_path / "results")
    before = path.read_text()
    assert write_record(record_of(run.path), tmp_path / "results") == path
    assert path.read_text() == before
    (read,) = read_records(tmp_path / "results")
    assert read == record_of(run.path)
    assert read.text() == before


def test_a_record_changed_by_hand_is_refused_and_one_that_is_only_laid_out_otherwise_is_not(
    trained_run: TrainedRun, tmp_path: Path
) -> None:
    path = write_record(record_of(trained_run("epochs=2").path), tmp_path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(content.items())), indent=3))
    assert read_record(path).content == content
    content["final"]["top1"] += 0.1
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="was changed after it was written: its checksum is wrong"):
        read_record(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "is not a record of a run"),
        ('{"format": "last-result", "format_version": 99}', "has the format version 99; this program reads version 1"),
        ("[1]", "should hold a JSON object"),
        ("{", "is not valid JSON"),
    ],
)
def test_another_file_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read_records(tmp_path)


def test_a_missing_folder_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no folder .*none\. Records are written by `runs record RUN --out"):
        read_records(tmp_path / "none")


def test_a_run_without_a_result_is_refused(trained_run: TrainedRun) -> None:
    run = trained_run("epochs=2")
    shutil.move(run.summary, run.path / "kept.json")
    with pytest.raises(UserError, match=r"is not finished, so it has no result to record\. Resume it first\."):
        record_of(run.path)
    run.divergence.write_text("{}")
    with pytest.raises(UserError, match=r"diverged, so it has no result to record\.$"):
        record_of(run.path)


def test_a_run_whose_files_are_damaged_is_refused(trained_run: TrainedRun) -> None:
    run = trained_run("epochs=2")
    run.config.write_text("[")
    with pytest.raises(UserError, match=r"cannot be recorded: .*config\.yaml"):
        record_of(run.path)


def test_a_run_whose_logbook_lacks_an_epoch_is_refused(trained_run: TrainedRun) -> None:
    run = trained_run("epochs=2")
    first, _ = run.logbook.read_text().splitlines(keepends=True)
    run.logbook.write_text(first)
    with pytest.raises(UserError, match=r"has the metrics of 1 epochs in metrics\.jsonl, and trained 2"):
        record_of(run.path)


def test_a_run_whose_files_disagree_is_refused(trained_run: TrainedRun) -> None:
    run = trained_run("epochs=2")
    changed(run.summary, final_top1=99.0)
    with pytest.raises(UserError, match=r"ends with .* in metrics\.jsonl and with 99\.00 in summary\.json"):
        record_of(run.path)


def test_a_run_of_an_earlier_version_is_recorded_with_a_warning(
    trained_run: TrainedRun, caplog: pytest.LogCaptureFixture
) -> None:
    run = trained_run("epochs=2")
    changed(run.summary, machine=None, command=None, training_clips=None, epochs_trained=None, ended=None)
    record = record_of(run.path)
    assert (record.content["machine"], record.content["ended"]) == (None, "all epochs")
    assert "of an earlier version of LAST, which did not note machine, command, training_clips" in caplog.text


@pytest.mark.parametrize(
    ("commit", "warning"),
    [("abc-dirty", "of a checkout with changes that are in no commit"), ("", "not of a commit"), ("abc", "")],
)
def test_code_that_is_in_no_commit_is_warned_of(
    commit: str, warning: str, trained_run: TrainedRun, caplog: pytest.LogCaptureFixture
) -> None:
    run = trained_run("epochs=2")
    changed(run.summary, git_commit=commit)
    assert record_of(run.path).content["commit"] == commit
    assert caplog.text == "" if not warning else warning in caplog.text


def test_epochs_without_a_test_have_no_figures(trained_run: TrainedRun) -> None:
    column = record_of(trained_run("epochs=3", "test_every=2").path).column("test_top1")
    assert [math.isnan(value) for value in column] == [True, False, False]


def test_the_teachers_of_a_run_and_the_weights_it_began_with_are_recorded_without_their_folders(
    trained_run: TrainedRun,
) -> None:
    run = trained_run("epochs=2")
    config = run.config.read_text()
    for key, value in {
        "teachers": "['/home/me/run-1/last.pth']",
        "init_from": "/home/me/run-2/checkpoints/last.pth",
    }.items():
        config, count = re.subn(rf"(?m)^( *{key}:) .*$", rf"\g<1> {value}", config)
        assert count == 1
    run.config.write_text(config)
    changed(
        run.summary, teachers=[{"path": "/home/me/run-1/last.pth", "model": "base", "fingerprint": "ab", "seed": 1}]
    )
    record = record_of(run.path)
    (teacher,) = record.content["teachers"]
    assert (teacher["model"], teacher["fingerprint"], teacher["seed"]) == ("base", "ab", 1)
    assert record.config["init_from"] == "run-2/checkpoints/last.pth"
    assert "/home/me" not in record.text()


def test_the_figures_of_a_measurement_are_recorded_without_its_texts(tmp_path: Path) -> None:
    facts = {"model": "nano_e", "dataset": "tiny", "split": "xsub", "checkpoint": "/home/me/last.pth"}
    values = {"facts": facts, "top1": 71.25, "curve": [50, {"drop": 0.5, "clip": "S001A001"}], "none": None, "on": True}
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps(values))
    assert record_of_figures(file, "../../hidden").name.startswith("_.._hidden-"), "it is a visible file in the folder"
    record = record_of_figures(file, "robustness of nano_e", "python -m last evaluate")
    assert record.content["figures"] == {"top1": 71.25, "curve.0": 50, "curve.1.drop": 0.5}
    assert record.content["facts"] == {"model": "nano_e", "dataset": "tiny", "split": "xsub"}
    assert (record.content["name"], record.content["command"]) == ("robustness of nano_e", "python -m last evaluate")
    assert record.name.startswith("robustness_of_nano_e-")
    assert not any(text in record.text() for text in ("S001A001", "/home/me"))
    assert read_record(write_record(record, tmp_path / "results")) == record


@pytest.mark.parametrize(("values", "number"), [({"text": "none"}, 0), ({"all": list(range(2001))}, 2001)])
def test_a_file_without_figures_or_with_too_many_is_refused(
    values: dict[str, Any], number: int, tmp_path: Path
) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=f"has {number} figures, and a record holds 1 to 2000"):
        record_of_figures(tmp_path / "metrics.json", "robustness")
