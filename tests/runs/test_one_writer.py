"""A run, and a sequence of them, has one writer at a time."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, tiny_run

from last.experiments import run as experiment
from last.experiments.sequence.plan import Plan, SequenceSpec, plan_sequence
from last.experiments.sequence.run import run_sequence
from last.runs.folder import RunFolder
from last.settings.run import RunConfig
from last.utils.errors import TrainingDiverged, UserError
from last.utils.locks import LOCK_FILE, sole_writer

MakeConfig = Callable[..., RunConfig]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != LOCK_FILE}


@pytest.fixture
def run(trained_run: Callable[..., RunFolder]) -> RunFolder:
    return trained_run("epochs=1")


@pytest.mark.parametrize("resume", ["auto", ".", "checkpoints/last.pth", "checkpoints/best_model.pth"])
def test_a_run_that_is_being_trained_is_not_resumed(tiny_config: MakeConfig, run: RunFolder, resume: str) -> None:
    before = contents(run.path.parent)
    with run.locked(), pytest.raises(UserError, match=f"{run.path} is being trained by another process: resume it"):
        experiment.train(
            tiny_config("epochs=2"), resume if resume == "auto" else str(run.path / resume), explicit_keys=["epochs"]
        )
    assert contents(run.path.parent) == before


def test_a_run_that_is_being_trained_is_not_copied(data_yaml: Path, tmp_path: Path, run: RunFolder) -> None:
    config = tiny_run(data_yaml, tmp_path / "elsewhere", "epochs=2")
    with run.locked(), pytest.raises(UserError, match="is being trained by another process: copy it"):
        experiment.train(config, str(run.path), explicit_keys=["epochs", "output_root"])
    assert not (tmp_path / "elsewhere").exists()


def test_a_copied_run_may_be_trained_where_it_was(data_yaml: Path, tmp_path: Path, run: RunFolder) -> None:
    (run.path / LOCK_FILE).unlink()
    config, seen = tiny_run(data_yaml, tmp_path / "elsewhere", "epochs=2"), []

    def ending(copy: RunFolder) -> None:
        with run.locked(), pytest.raises(UserError), copy.locked():
            pass
        seen.append(copy)

    assert not (run.path / LOCK_FILE).exists()
    experiment.train(config, str(run.path), explicit_keys=["epochs", "output_root"], on_end=ending)
    assert len(seen) == 1


def test_a_new_run_begins_beside_one_that_is_being_trained(tiny_config: MakeConfig, run: RunFolder) -> None:
    with run.locked():
        assert experiment.train(tiny_config("epochs=1")).run.path != run.path


@pytest.mark.parametrize("end", [None, KeyboardInterrupt, TrainingDiverged, UserError])
def test_a_run_is_free_when_its_training_has_ended_however_it_did(
    tiny_config: MakeConfig, end: type[BaseException] | None
) -> None:
    found: list[RunFolder] = []

    def ending(run: RunFolder) -> None:
        found.append(run)
        with pytest.raises(UserError), run.locked():
            pass
        if end is not None:
            raise end("over")

    if end is None:
        experiment.train(tiny_config("epochs=1"), on_end=ending)
    else:
        with pytest.raises(end):
            experiment.train(tiny_config("epochs=1"), on_end=ending)
    with found[0].locked():
        pass


def test_a_file_that_its_writer_removes_while_a_run_is_copied_is_left_out(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    glob = Path.glob

    def glob_and_lose(folder: Path, pattern: str) -> list[Path]:
        found = list(glob(folder, pattern))
        return [*found, run.partial] if pattern == "checkpoints/*.pth" else found

    monkeypatch.setattr(Path, "glob", glob_and_lose)
    monkeypatch.setattr(Path, "is_file", lambda path: path == run.partial or path.exists())
    copy = run.copy_to(tmp_path / "elsewhere")
    assert copy.last.exists() and not copy.partial.exists()


@pytest.fixture
def plan(data_yaml: Path, tmp_path: Path) -> Callable[..., Plan]:
    """Return a function that plans a tiny sequence; its arguments are configuration keys."""

    def make(**flags: object) -> Plan:
        roots = {"data_root": str(data_yaml.parent / "data"), "output_root": str(tmp_path / "runs"), "device": "cpu"}
        return plan_sequence(
            SequenceSpec(
                dataset=str(data_yaml),
                environment="local",
                teacher="small_e",
                students=["nano_e"],
                settings=[*TINY, "epochs=1"],
                flags={**roots, **flags},
            )
        )

    return make


def test_a_sequence_that_is_being_trained_is_refused_and_its_table_stays(plan: Callable[..., Plan]) -> None:
    folder = plan().folder
    folder.mkdir(parents=True)
    with sole_writer(folder, ""), pytest.raises(UserError, match=f"Another process is training the sequence {folder}"):
        run_sequence(plan())
    assert contents(folder) == {}


def test_a_sequence_that_is_being_trained_is_not_copied(plan: Callable[..., Plan], tmp_path: Path) -> None:
    there = tmp_path / "input" / plan().folder.name
    there.mkdir(parents=True)
    (there / "sequence.json").write_text("{}")
    with sole_writer(there, ""), pytest.raises(UserError, match=f"Another process is training the sequence {there}"):
        run_sequence(plan(input_roots=[str(tmp_path / "input")]))
    assert not plan().folder.exists()
