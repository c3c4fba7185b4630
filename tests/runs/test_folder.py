"""The names of run folders, and finding the run to resume."""

import errno
import json
import os
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from last.experiments.config import resolve
from last.runs.folder import RunFolder
from last.runs.history import find_run
from last.settings.run import RunConfig
from last.tasks.measures import measures_from
from last.utils.config import to_yaml
from last.utils.errors import UserError


def config(model: str = "nano_e", dataset: str = "synthetic", split: str = "xsub", seed: int = 0) -> RunConfig:
    return resolve(model=model, dataset=dataset, flags={"data.split": split, "seed": seed})


def begun(root: Path, name: str, of: RunConfig) -> Path:
    (root / name).mkdir(parents=True)
    (root / name / "config.yaml").write_text(to_yaml(of))
    return root / name


def test_runs_of_a_day_are_numbered_from_the_second(tmp_path: Path) -> None:
    names = [RunFolder.create(tmp_path / "runs").path.name for _ in range(3)]
    today = f"run-{date.today().isoformat()}"
    assert names == [today, f"{today}_2", f"{today}_3"]


def test_the_newest_run_is_found_by_day_then_number(tmp_path: Path) -> None:
    for name in ("run-2026-01-02", "run-2026-01-02_9", "run-2026-01-02_10", "run-2026-01-01_11", "run-nonsense"):
        begun(tmp_path, name, config())
    found = find_run(tmp_path, asdict(config()))
    assert found is not None
    assert found.path.name == "run-2026-01-02_10"


@pytest.mark.parametrize(
    "other",
    [{"model": "small_e"}, {"dataset": "ntu60"}, {"split": "xview"}, {"seed": 1}],
)
def test_a_run_of_another_model_data_set_protocol_or_seed_is_passed_over(
    tmp_path: Path, other: dict[str, object]
) -> None:
    begun(tmp_path, "run-2026-01-02", config(**other))  # type: ignore[arg-type]
    assert find_run(tmp_path, asdict(config())) is None
    own = begun(tmp_path, "run-2026-01-01", config())
    found = find_run(tmp_path, asdict(config()))
    assert found is not None
    assert found.path == own


def test_where_there_are_no_runs_none_is_found(tmp_path: Path) -> None:
    assert find_run(tmp_path / "nowhere", asdict(config())) is None


# --- neighbours and clocks


@pytest.mark.parametrize("damage", ["torn", "bytes", "pipe", "folder", "other keys"])
def test_a_damaged_run_beside_the_one_to_resume_is_passed_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    own = begun(tmp_path, "run-2026-01-01", config())
    torn = begun(tmp_path, "run-2026-01-02", config()) / "config.yaml"
    whole = torn.read_text()
    torn.unlink()
    make = {
        "torn": lambda: torn.write_text(whole[: whole.index("batch_size") + 4]),
        "bytes": lambda: torn.write_bytes(b"\xff\xfe\x00"),
        "pipe": lambda: os.mkfifo(torn) if hasattr(os, "mkfifo") else torn.mkdir(),
        "folder": torn.mkdir,
        "other keys": lambda: torn.write_text("model: 3\ndata: [a]\nseed: {}\n"),
    }
    make[damage]()
    with caplog.at_level("WARNING", "last"):
        found = find_run(tmp_path, asdict(config()))
    assert found is not None
    assert found.path == own
    assert ("is skipped" in caplog.text and str(torn) in caplog.text) == (damage != "other keys")


def test_after_the_clock_was_put_back_a_new_run_is_still_the_newest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun(tmp_path, "run-2999-05-05_2", config())
    (tmp_path / "run-2999-05-05_2" / "summary.json").write_text("{}")
    new = RunFolder.create(tmp_path)
    new.config.write_text(to_yaml(config()))
    assert new.path.name == "run-2999-05-05_3"
    assert "The new run gets the later date too" in caplog.text
    assert find_run(tmp_path, asdict(config())) is not None
    assert find_run(tmp_path, asdict(config())).path == new.path  # type: ignore[union-attr]


def test_a_number_that_became_free_is_not_given_again(tmp_path: Path) -> None:
    today = f"run-{date.today().isoformat()}"
    for name in (today, f"{today}_7"):
        (tmp_path / name).mkdir()
    assert RunFolder.create(tmp_path).path.name == f"{today}_8"


def test_a_folder_of_a_day_that_does_not_exist_names_no_run(tmp_path: Path) -> None:
    (tmp_path / "run-9999-99-99").mkdir()
    assert RunFolder.create(tmp_path).path.name == f"run-{date.today().isoformat()}"


@pytest.mark.parametrize("target", ["/gone/away.pth", "best_model.pth"])
def test_a_link_that_leads_nowhere_among_the_checkpoints_is_not_the_newest_file(tmp_path: Path, target: str) -> None:
    run = RunFolder.create(tmp_path)
    run.checkpoints.mkdir(exist_ok=True)
    run.last.write_bytes(b"")
    os.utime(run.last, (2**31, 2**31))
    run.best.symlink_to(target)
    assert run.last_written == 2**31


def test_a_time_in_no_year_of_the_calendar_is_that_of_an_old_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    run = RunFolder(tmp_path / "mine")
    run.config.write_text("")
    assert run.sort_key > ("2000", 0)
    stat = Path.stat

    def later(path: Path) -> os.stat_result:  # many file systems cannot hold such a time
        found = list(stat(path))
        return os.stat_result([*found[:8], 10**12, found[9]])

    monkeypatch.setattr(Path, "stat", later)
    assert run.sort_key == ("", 0)


SUMMARY = {
    "model": "nano_e",
    "dataset": "tiny",
    "split": "xsub",
    "seed": 0,
    "parameters": 9,
    "best_epoch": 1,
    "best_top1": 50,
    "best_top5": 60.0,
    "final_top1": 70.0,
    "final_top5": 80.0,
}


def test_a_summary_that_lacks_a_figure_is_refused_with_what_to_do(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path)
    run.summary.write_text(json.dumps(SUMMARY))
    assert run.read_summary() == SUMMARY
    wrong = [{}, *({**SUMMARY, name: value} for name in SUMMARY for value in (None, [], float("inf"), True))]
    for content in ("{", "[]", *map(json.dumps, wrong)):
        run.summary.write_text(content)
        with pytest.raises(UserError, match=r"summary\.json.*Delete it and resume the run"):
            run.read_summary()


@pytest.mark.parametrize(("error", "outcome"), [(FileExistsError(), "_2"), (OSError(errno.ENOSPC, "full"), "")])
def test_a_folder_that_another_process_has_just_made_is_passed_over_and_any_other_failure_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, outcome: str
) -> None:
    failures = [error]
    mkdir = Path.mkdir

    def fail_once(path: Path, *given: Any, **options: Any) -> None:
        if path.name.startswith("run-") and failures:
            raise failures.pop()
        mkdir(path, *given, **options)

    monkeypatch.setattr(Path, "mkdir", fail_once)
    if outcome:
        assert RunFolder.create(tmp_path).path.name.endswith(outcome)
    else:
        with pytest.raises(UserError, match="full"):
            RunFolder.create(tmp_path)


def test_a_damaged_record_of_the_origin_is_as_if_there_were_none(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path)
    run.origin.write_text("{")
    assert run.origin_path == ""


def test_a_run_whose_metrics_are_not_those_of_a_task_is_refused(tmp_path: Path) -> None:
    for facts in ({"task": "poses"}, {"task": "poses", "metrics": [{"name": "a", "title": "a"}], "primary": "b"}):
        with pytest.raises(UserError, match=r"task.json does not describe the metrics of a task"):
            measures_from(facts, "task.json")
