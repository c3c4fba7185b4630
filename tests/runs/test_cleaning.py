"""What `runs clean` finds, what it leaves and why, and that it removes nothing else."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from last.runs.cleaning import Removable, Rules, remove, survey
from last.utils.errors import UserError
from last.utils.locks import sole_writer

DAY_S = 86_400.0
CONFIG = "epochs: 3\nseed: 0\nmodel: {name: nano_e}\ndata: {name: tiny, split: xsub}\n"
ALL = Rules(older_than_days=7, keep_last=0)


def write(path: Path, content: str = "x", days: float = 30) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))
    return path


def write_run(path: Path, *, finished: bool, teachers: Sequence[Path] = (), days: float = 30) -> Path:
    taught = f"distillation: {{teachers: {[str(each) for each in teachers]}}}\n" if teachers else ""
    write(path / "config.yaml", CONFIG + taught, days)
    write(path / "metrics.jsonl", '{"epoch": 0, "train_loss": 1.0}\n', days)
    write(path / "checkpoints" / "last.pth", "weights", days)
    if finished:
        write(path / "summary.json", "{}", days)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def found(root: Path, rules: Rules = ALL, data_root: Path | None = None) -> dict[str, str]:
    """Return what can go, as its path below the root with its kind."""
    removable = survey(root, data_root or root / "no data", rules).removable
    return {str(item.path.relative_to(root.parent)): item.kind for item in removable}


def kept(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): why for path, why in survey(root, root / "no data", ALL).kept}


def test_an_old_run_that_did_not_end_can_go_and_a_finished_one_cannot(root: Path) -> None:
    write_run(root / "run-2026-01-01", finished=False)
    write_run(root / "run-2026-01-02", finished=True)
    assert found(root) == {"runs/run-2026-01-01": "unfinished"}


def test_what_was_written_to_lately_stays(root: Path) -> None:
    write_run(root / "run-2026-01-01", finished=False, days=6.9)
    assert found(root) == {}
    assert list(found(root, Rules(older_than_days=6, keep_last=0))) == ["runs/run-2026-01-01"]


def test_the_newest_runs_stay_as_they_are(root: Path) -> None:
    for day in (1, 2, 3):
        write_run(root / f"run-2026-01-0{day}", finished=False)
    assert list(found(root, Rules(keep_last=2))) == ["runs/run-2026-01-01"]


def test_only_the_kinds_that_are_asked_for_can_go(root: Path) -> None:
    run = write_run(root / "run-2026-01-01", finished=False)
    write(run / "checkpoints" / "partial.pth")
    assert found(root, Rules(kinds=("partial",), keep_last=0)) == {
        "runs/run-2026-01-01/checkpoints/partial.pth": "partial"
    }


def test_each_thing_has_its_size_its_age_and_its_reason(root: Path) -> None:
    write(write_run(root / "run-2026-01-01", finished=True) / "checkpoints" / "partial.pth", "12345", days=20)
    (item,) = survey(root, root, ALL).removable
    assert (item.size_bytes, round(item.age_days), item.reason) == (5, 20, "the run has ended")


def test_superseded_epochs_can_go_unless_the_run_has_no_other_checkpoint(root: Path) -> None:
    run = write_run(root / "run-2026-01-01", finished=True)
    write_run(run / "superseded", finished=False)
    assert found(root) == {"runs/run-2026-01-01/superseded": "superseded"}
    (run / "checkpoints" / "last.pth").unlink()
    assert found(root) == {}
    assert kept(root) == {"run-2026-01-01/superseded": "run-2026-01-01 has no other checkpoint"}


def test_the_only_checkpoint_of_a_finished_run_stays(root: Path) -> None:
    run = write_run(root / "run-2026-01-01", finished=True)
    write(run / "checkpoints" / "partial.pth")
    (run / "checkpoints" / "last.pth").unlink()
    assert found(root) == {}
    assert kept(root) == {"run-2026-01-01/checkpoints/partial.pth": "it is the only checkpoint of run-2026-01-01"}


def test_the_teacher_of_a_run_that_stays_stays_and_so_does_its_own_teacher(root: Path) -> None:
    first = write_run(root / "run-2026-01-01", finished=False)
    second = write_run(root / "run-2026-01-02", finished=False, teachers=[first / "checkpoints" / "last.pth"])
    write_run(root / "run-2026-01-03", finished=True, teachers=[second / "checkpoints" / "last.pth"])
    assert found(root) == {}
    assert kept(root) == {
        "run-2026-01-01": "it is a teacher of run-2026-01-02",
        "run-2026-01-02": "it is a teacher of run-2026-01-03",
    }


def test_a_teacher_whose_students_all_go_goes_with_them(root: Path) -> None:
    first = write_run(root / "run-2026-01-01", finished=False)
    write_run(root / "run-2026-01-02", finished=False, teachers=[first / "checkpoints" / "last.pth"])
    assert len(found(root)) == 2


def test_the_teacher_of_runs_that_were_moved_together_stays(root: Path) -> None:
    write_run(root / "run-2026-01-01", finished=False)
    write_run(root / "run-2026-01-02", finished=True, teachers=[Path("/old/runs/run-2026-01-01/checkpoints/last.pth")])
    assert found(root) == {}


def test_a_superseded_epoch_that_teaches_stays(root: Path) -> None:
    run = write_run(root / "run-2026-01-01", finished=True)
    archive = write_run(run / "superseded", finished=False)
    write_run(root / "run-2026-01-02", finished=True, teachers=[archive / "checkpoints" / "last.pth"])
    assert found(root) == {}


@pytest.mark.parametrize("kind", ["sequence", "sweep"])
@pytest.mark.parametrize("locked", ["runs/SERIES/tiny/nano_e/run-2026-01-01", "runs/SERIES", "runs"])
def test_a_run_that_is_in_use_stays_also_if_a_folder_around_it_is_locked(root: Path, locked: str, kind: str) -> None:
    run = write_run(root / kind / "tiny" / "nano_e" / "run-2026-01-01", finished=False)
    write(root / kind / f"{kind}.json", "{}")
    locked = locked.replace("SERIES", kind)
    with sole_writer(root.parent / locked, "in use"):
        assert kept(root) == {str(run.relative_to(root)): "another process uses it"}
    assert list(found(root)) == [f"runs/{kind}/tiny/nano_e/run-2026-01-01"]


@pytest.mark.parametrize("extra", ["notes.md", "evaluation/report.txt", "export/model.onnx", "checkpoints/other.onnx"])
def test_a_run_that_holds_more_than_a_run_stays(root: Path, extra: str) -> None:
    write(write_run(root / "run-2026-01-01", finished=False) / extra)
    assert found(root) == {}
    (why,) = kept(root).values()
    assert why == f"it holds {Path(extra).name if 'checkpoints' in extra else Path(extra).parts[0]}, " + (
        "which is not a part of it"
    )


@pytest.mark.parametrize("config", ["lr: 3\n", "model: {name: 3}\ndata: {name: x}\n", "[1, 2]\n", ":\t{"])
def test_a_folder_of_another_program_stays(root: Path, config: str) -> None:
    write(root / "run-other" / "config.yaml", config)
    assert found(root) == {}
    assert kept(root) == {"run-other": "its config.yaml is not of a run of LAST"}


def test_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    elsewhere = write_run(tmp_path / "elsewhere" / "run-2026-01-01", finished=False)
    (root / "run-2026-01-01").symlink_to(elsewhere)
    os.utime(root / "run-2026-01-01", (0, 0), follow_symlinks=False)
    assert found(root) == {}
    assert kept(root) == {"run-2026-01-01": "links are not followed"}


def test_a_link_in_what_is_removed_is_removed_and_what_it_leads_to_is_not(root: Path, tmp_path: Path) -> None:
    target = write(tmp_path / "precious" / "data.npy")
    run = write_run(root / "run-2026-01-01", finished=False)
    (run / "tensorboard").symlink_to(target.parent)
    removed = [problem for _, problem in remove(survey(root, root, ALL).removable, root)]
    assert (removed, run.exists(), target.read_text()) == ([""], False, "x")


def test_a_run_is_refused_as_the_folder_of_runs(root: Path) -> None:
    run = write_run(root / "run-2026-01-01", finished=False)
    with pytest.raises(UserError, match=r"run-2026-01-01 is a run\. Name the folder that holds the runs"):
        survey(run, root, ALL)


def write_cache(folder: Path) -> Path:
    write(folder / "outputs.npy", "outputs")
    write(folder / "outputs.json", "{}")
    return folder


def test_outputs_of_teachers_can_go_in_an_output_folder_and_in_a_sequence(root: Path) -> None:
    write(root / "sequence" / "sequence.json", "{}")
    write_run(root / "sequence" / "tiny" / "nano_e-distilled" / "run-2026-01-01", finished=True)
    write_cache(root / "teacher_outputs" / "abc")
    write_cache(root / "sequence" / "tiny" / "teacher_outputs" / "kl-4")
    assert found(root) == {
        "runs/sequence/tiny/teacher_outputs/kl-4": "caches",
        "runs/teacher_outputs/abc": "caches",
    }


def test_outputs_of_teachers_stay_while_a_distilled_run_is_in_training_or_they_are_computed(root: Path) -> None:
    cache = write_cache(root / "teacher_outputs" / "abc")
    run = write_run(root / "run-2026-01-01", finished=False, teachers=[root / "gone.pth"])
    with sole_writer(run, "in use"):
        assert kept(root)["teacher_outputs/abc"] == "the run run-2026-01-01, which is in training, may read it"
    with sole_writer(cache, "in use"):
        assert kept(root)["teacher_outputs/abc"] == "another process uses it"


def test_a_folder_of_outputs_with_other_files_stays(root: Path) -> None:
    write(write_cache(root / "teacher_outputs" / "abc") / "mine.txt")
    assert found(root) == {}
    write(root / "teacher_outputs" / "other" / "photo.jpg")
    assert list(kept(root)) == ["teacher_outputs/abc"]


def test_chunks_beside_a_complete_store_can_go_and_those_of_an_unfinished_preparation_cannot(root: Path) -> None:
    data = root.parent / "data"
    write(data / "done" / "store.json", "{}")
    for name in ("done", "begun"):
        write(data / name / ".partial" / "000000-abc.npz", "chunk")
    assert found(root, data_root=data) == {"data/done/.partial": "chunks"}
    with sole_writer(data / "done", "in use"):
        assert found(root, data_root=data) == {}
    write(data / "done" / ".partial" / "mine.txt")
    assert found(root, data_root=data) == {}


def test_temporary_files_of_killed_processes_can_go(root: Path) -> None:
    run = write_run(root / "run-2026-01-01", finished=True)
    write(run / "checkpoints" / ".last.pth.last-1234.tmp")
    write(run / ".notes.tmp")
    assert found(root) == {"runs/run-2026-01-01/checkpoints/.last.pth.last-1234.tmp": "leftovers"}


def test_all_that_is_listed_is_removed_and_nothing_else(root: Path) -> None:
    run = write_run(root / "run-2026-01-01", finished=True)
    write_run(run / "superseded", finished=False)
    write_run(root / "run-2026-01-02", finished=False)
    write_cache(root / "teacher_outputs" / "abc")
    data = root.parent / "data"
    write(data / "done" / "store.json", "{}")
    write(data / "done" / ".partial" / "000000-abc.npz")
    items = survey(root, data, ALL).removable
    assert [problem for _, problem in remove(items, root)] == ["", "", "", ""]
    left = sorted(str(path.relative_to(root.parent)) for path in root.parent.rglob("*") if path.is_file())
    stays = ["checkpoints/last.pth", "config.yaml", "metrics.jsonl", "summary.json"]
    assert [path for path in left if not path.endswith(".lock")] == [
        "data/done/store.json",
        *(f"runs/run-2026-01-01/{name}" for name in stays),
    ]
    assert not any((root / name).exists() for name in ("run-2026-01-02", "teacher_outputs/abc"))
    assert not (data / "done" / ".lock").exists()


def only(root: Path) -> Removable:
    (item,) = survey(root, root, ALL).removable
    return item


def test_what_changed_after_it_was_listed_is_left_as_it_is(root: Path) -> None:
    run = write_run(root / "run-2026-01-01", finished=False)
    item = only(root)
    write(run / "checkpoints" / "last.pth", "more weights", days=0)
    assert [problem for _, problem in remove([item], root)] == ["it has changed by now"]
    assert (run / "checkpoints" / "last.pth").exists()


def test_a_run_that_is_resumed_after_it_was_listed_is_left_as_it_is(root: Path) -> None:
    run = write_run(root / "run-2026-01-01", finished=False)
    item = only(root)
    with sole_writer(run, "in use"):
        assert [problem for _, problem in remove([item], root)] == ["another process uses it by now"]
    with sole_writer(root, "in use"):
        assert [problem for _, problem in remove([item], root)] == ["another process uses it"]
    assert (run / "checkpoints" / "last.pth").exists()


def test_what_cannot_be_removed_is_reported_and_the_rest_goes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (1, 2):
        write_run(root / f"run-2026-01-0{day}", finished=False)
    items = survey(root, root, ALL).removable
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if "run-2026-01-01" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    problems = {item.path.name: problem for item, problem in remove(items, root)}
    assert problems == {"run-2026-01-01": "permission was denied", "run-2026-01-02": ""}


def test_a_missing_folder_of_runs_has_nothing_to_free(tmp_path: Path) -> None:
    assert survey(tmp_path / "runs", tmp_path / "data", ALL).removable == []
