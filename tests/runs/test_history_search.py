"""Finding runs of other sessions, the newest run, and the checkpoint that a text means."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from last.experiments import run as experiment
from last.runs import history
from last.runs.folder import RunFolder, runs_in
from last.runs.history import attached_runs, find_checkpoint, find_run, find_runs, latest_run
from last.settings.run import RunConfig
from last.utils.config import to_yaml
from last.utils.errors import UserError
from last.utils.root_folders import RootFolders

MakeConfig = Callable[..., RunConfig]


def begun(folder: Path, config: RunConfig) -> RunFolder:
    """Make the folder of a run that has no checkpoint yet."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(config))
    return RunFolder(folder)


@pytest.fixture
def trained(tiny_config: MakeConfig, trained_run: Callable[..., RunFolder]) -> Callable[..., RunFolder]:
    """Return a function that puts a run of one epoch into a folder."""
    run = trained_run("epochs=1")

    def put(folder: Path, **changes: object) -> RunFolder:
        shutil.copytree(run.path, folder)
        (folder / "config.yaml").write_text(to_yaml(replace(tiny_config(), **changes)))  # type: ignore[arg-type]
        return RunFolder(folder)

    return put


def found(config: RunConfig, root: Path, *input_roots: Path) -> Path | None:
    run = find_run(root, asdict(config), input_roots)
    return None if run is None else run.path


def test_a_run_of_another_session_is_found_at_any_depth_and_by_any_name(
    tiny_config: MakeConfig, trained: Callable[..., RunFolder], tmp_path: Path
) -> None:
    run = trained(tmp_path / "input/datasets/owner/slug/my run")
    trained(tmp_path / "input/datasets/owner/slug/other seed", seed=5)
    assert found(tiny_config(), tmp_path / "working", tmp_path / "input") == run.path


def test_a_run_in_the_output_folder_comes_first(tiny_config: MakeConfig, tmp_path: Path) -> None:
    own = begun(tmp_path / "working/run-2026-01-01", tiny_config())
    begun(tmp_path / "input/session/run-2026-01-02", tiny_config())
    assert found(tiny_config(), tmp_path / "working", tmp_path / "working", tmp_path / "input") == own.path


def test_of_several_sessions_the_latest_day_counts(
    tiny_config: MakeConfig, trained: Callable[..., RunFolder], tmp_path: Path
) -> None:
    trained(tmp_path / "input/a/run-2026-01-01_7")
    later = trained(tmp_path / "input/b/run-2026-01-02")
    assert found(tiny_config(), tmp_path / "working", tmp_path / "input") == later.path


def test_a_later_run_without_a_whole_checkpoint_does_not_hide_one_that_has(
    tiny_config: MakeConfig, trained: Callable[..., RunFolder], tmp_path: Path
) -> None:
    whole = trained(tmp_path / "input/a/run-2026-01-01")
    begun(tmp_path / "input/b/run-2026-01-02", tiny_config())
    torn = trained(tmp_path / "input/c/run-2026-01-03")
    for path in torn.all_checkpoints():
        path.write_bytes(b"torn")
    assert found(tiny_config(), tmp_path / "working", tmp_path / "input") == whole.path


def test_of_several_sessions_of_a_day_the_one_that_came_furthest_counts(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    whole = experiment.train(tiny_config("epochs=2", "checkpoint.keep=2")).run
    first, second = tmp_path / "input/a/run-2026-01-01_2", tmp_path / "input/b/run-2026-01-01"
    for folder in (first, second):
        shutil.copytree(whole.path, folder)
    for path in RunFolder(first).all_checkpoints():
        if path.name != "epoch_0000.pth":
            path.unlink()
    assert found(tiny_config(), tmp_path / "working", tmp_path / "input") == second


def test_the_runs_of_a_training_sequence_are_left_to_the_sequence(tiny_config: MakeConfig, tmp_path: Path) -> None:
    folder = tmp_path / "input/session/sequence-tiny-xsub"
    begun(folder / "tiny-xsub/nano_e/run-2026-01-01", tiny_config())
    (folder / "sequence.json").write_text("{}")
    assert found(tiny_config(), tmp_path / "working", tmp_path / "input") is None


def test_a_foreign_file_named_like_a_configuration_is_passed_over(
    tiny_config: MakeConfig, trained: Callable[..., RunFolder], tmp_path: Path
) -> None:
    for name, text in (("a", "{"), ("b", "just: this"), ("c", "model: 3\ndata: []\n")):
        (tmp_path / "input" / name / "checkpoints").mkdir(parents=True)
        (tmp_path / "input" / name / "config.yaml").write_text(text)
    run = trained(tmp_path / "input/d")
    assert [each.path for each in attached_runs(tmp_path / "working", [tmp_path / "input"])] == [run.path]
    assert found(tiny_config(), tmp_path / "working", tmp_path / "input") == run.path


def test_the_latest_run_is_the_newest_of_the_output_folder_else_of_the_inputs(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    here = RootFolders("local", tmp_path / "data", tmp_path / "runs", (tmp_path / "input",))
    with pytest.raises(UserError, match="There is no run in"):
        latest_run(here)
    attached = begun(tmp_path / "input/run-2026-05-05", tiny_config())
    assert latest_run(here).path == attached.path
    begun(tmp_path / "runs/run-2026-01-02", tiny_config())
    newest = begun(tmp_path / "runs/run-2026-01-02_2", tiny_config())
    assert latest_run(here).path == newest.path


def test_between_folders_the_time_of_writing_decides_and_not_the_number(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    here = RootFolders("kaggle", tmp_path / "data", tmp_path / "working", (tmp_path / "input",))
    earlier = begun(tmp_path / "input/session-1/run-2026-05-05_5", tiny_config())
    later = begun(tmp_path / "input/session-2/run-2026-05-05", tiny_config())
    for run, written in ((earlier, 1000), (later, 2000)):
        os.utime(run.config, (written, written))
    assert latest_run(here).path == later.path


def test_a_run_is_named_by_its_folder_by_that_of_its_checkpoints_or_as_the_latest(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    here = RootFolders("local", tmp_path / "data", tmp_path / "runs")
    run = begun(tmp_path / "runs/run-2026-01-02", tiny_config())
    with pytest.raises(UserError, match="has no finished epoch"):
        find_checkpoint(str(run.path), here)
    run.last.write_bytes(b"")
    for named in (run.path, run.checkpoints, run.last, "latest"):
        assert find_checkpoint(str(named), here) == run.last
    with pytest.raises(UserError, match="not a run's"):
        find_checkpoint(str(tmp_path), here)


def test_run_folders_are_searched_by_the_scanner_alone() -> None:
    """`history` finds runs, with the names of `folder`; a second search would list other runs than the first."""
    package = Path(history.__file__).parents[1]
    searches = re.compile(r"""glob\(f?["'][^"']*run-|folders_below\([^)]*(RunFolder|config\.yaml)""")
    found = [path.stem for path in package.rglob("*.py") if searches.search(path.read_text(encoding="utf-8"))]
    assert sorted(found) == ["folder", "history"]


def test_the_list_and_the_run_to_resume_agree_on_which_run_is_the_newest(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    names = ["run-2026-01-02_10", "run-2026-01-02_9", "run-2026-01-02", "run-2026-01-01"]
    for name in reversed(names):
        begun(tmp_path / name, tiny_config())
    assert [run.name for run in find_runs(tmp_path)] == [run.path.name for run in runs_in(tmp_path)] == names
    assert find_run(tmp_path, asdict(tiny_config())).path.name == names[0]  # type: ignore[union-attr]
    assert latest_run(RootFolders("local", tmp_path, tmp_path)).path.name == names[0]


def test_a_renamed_run_keeps_the_day_in_its_name_wherever_it_is_searched(
    tiny_config: MakeConfig, tmp_path: Path
) -> None:
    newest = begun(tmp_path / "run-2026-01-02", tiny_config())
    renamed = begun(tmp_path / "run-2026-01-01-before", tiny_config())
    os.utime(renamed.config, (4e9, 4e9))
    assert [run.path for run in find_runs(tmp_path)] == [newest.path, renamed.path]
    assert latest_run(RootFolders("local", tmp_path, tmp_path)).path == newest.path
