"""The command `distill`: what it refuses before anything is trained, and what its options mean."""

import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from distillation_probes import another_network, changed_copy

from last.cli import main
from last.experiments import run as experiment
from last.models.registry import build_model
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.runs.folder import RunFolder
from last.settings.data import NormalizeConfig
from last.settings.run import RunConfig
from last.skeleton import layout_facts, load_layout


@pytest.fixture
def distill(cli: Callable[..., Any], data_yaml: Path, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that distils a tiny student; its arguments are further options."""
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "students", "--device", "cpu")
    always = ("--model", "nano_e", "--dataset", data_yaml, "--epochs", 1, *roots, "--set", *TINY)
    return lambda *further: cli("distill", *always, *further)


def refused(result: Any, *parts: str) -> None:
    assert result.code == 2
    assert "Traceback" not in result.err
    assert result.err.startswith("error: ")
    for part in parts:
        assert part in result.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["rise", "fall", "jump"]}, "classes: 3 (with jump, without still), the student's 3"),
        ({"classes": ["rise", "still", "fall"]}, "classes: 3 (in another order), the student's 3"),
        ({"input_frames": 16}, "input_frames: 16, the student's 8"),
        ({"data": {"normalize": NormalizeConfig(scale="unit")}}, "data.normalize: "),
    ],
)
def test_a_teacher_of_other_classes_frames_or_scale_is_refused(
    distill: Callable[..., Any], teacher: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    refused(distill("--teacher", changed_copy(teacher, tmp_path / "other.pth", **change)), message)
    assert not (tmp_path / "students").exists()


def test_a_teacher_of_another_layout_is_refused(
    distill: Callable[..., Any], tiny_config: Callable[..., RunConfig], teacher: Path, tmp_path: Path
) -> None:
    checkpoint = read_checkpoint(teacher)
    config = replace(checkpoint.config, data=replace(checkpoint.config.data, layout="kinect20"))
    weights = build_model(config.model, 3, "kinect20").state_dict()
    changes = {"config": config, "model": weights, "layout": layout_facts(load_layout("kinect20"))}
    save_checkpoint(tmp_path / "kinect.pth", replace(checkpoint, **changes))
    refused(
        distill("--teacher", tmp_path / "kinect.pth"), "layout: kinect20 (20 joints", "the student's ntu25 (25 joints"
    )


def test_a_missing_or_damaged_teacher_is_refused(distill: Callable[..., Any], teacher: Path, tmp_path: Path) -> None:
    refused(distill("--teacher", tmp_path / "nobody.pth"), "Cannot read the checkpoint", "nobody.pth")
    torn = tmp_path / "torn.pth"
    torn.write_bytes(teacher.read_bytes()[:-1000])
    refused(distill("--teacher", torn), "not a complete checkpoint")
    refused(distill("--teacher", tmp_path), "is a folder, but not a run's")
    refused(distill("--teacher", ""), "--teacher is empty")


def test_a_missing_teacher_is_an_error_that_names_the_option(distill: Callable[..., Any]) -> None:
    refused(distill(), "Name a teacher with --teacher")


def test_impossible_ways_to_teach_are_refused(distill: Callable[..., Any], teacher: Path) -> None:
    refused(distill("--teacher", teacher, "--weights", "1,2"), "weights has 2 numbers for 1 teacher. ")
    refused(distill("--teacher", teacher, "--weights", "0"), "should be a list, each element above 0")
    refused(distill("--teacher", teacher, "--weights", "much"), "'much' should be numbers, separated by commas")
    refused(distill("--teacher", teacher, "--method", "kd"), "Known: kl, dkd, features, attention")
    refused(distill("--teacher", teacher, "--alpha", 2), "at most 1.0")
    refused(distill("--teacher", teacher, "--tau", 0), "at least 0.01")
    refused(distill("--teacher", teacher, "--cached", 0), "should be an integer above 0")
    cached = ("--set", "distillation.cached=true")
    refused(distill("--teacher", teacher, *cached), "distillation.cached needs distillation.fixed_augmentations")


def test_a_cache_of_other_teachers_data_or_draws_is_refused(
    distill: Callable[..., Any], tiny_config: Callable[..., RunConfig], teacher: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    cached = ("--cache", folder, "--cached")
    assert distill("--teacher", teacher, *cached, 2).code == 0
    assert distill("--teacher", teacher, *cached, 2, "--seed", 1).code == 0
    messages = (str(folder), "another kind: {} differ from this run's")
    other = experiment.train(tiny_config("epochs=1")).run.last
    refused(distill("--teacher", other, *cached, 2), messages[0], messages[1].format("teachers"))
    refused(distill("--teacher", teacher, *cached, 3), messages[1].format("fixed_augmentations"))
    augmented = ("data.augment.scale=0.2",)
    refused(distill("--teacher", teacher, *cached, 2, "--set", *augmented), messages[1].format("augment"))
    file = folder / "outputs.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    refused(distill("--teacher", teacher, *cached, 2), "is damaged: its checksum is wrong")
    file.unlink()
    refused(distill("--teacher", teacher, *cached, 2), "is damaged: No such file")
    (folder / "outputs.json").write_text("[]")
    refused(distill("--teacher", teacher, *cached, 2), "should hold a JSON object")


def test_a_place_that_cannot_hold_a_cache_is_refused(
    distill: Callable[..., Any], teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    refused(distill("--teacher", teacher, "--cached", 2, "--cache", tmp_path / "file"), "Cannot write")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    refused(distill("--teacher", teacher, "--cached", 2, "--cache", tmp_path / "kept"), "the disk is full")
    assert not (tmp_path / "kept" / "outputs.npy").exists()


@pytest.fixture(scope="module")
def whole_cache(
    data_yaml: Path, trained_teacher: RunFolder, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], None]:
    """Return a function that puts a finished cache of the teacher's outputs into a folder."""
    place = tmp_path_factory.mktemp("cached")
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", place / "students", "--device", "cpu")
    cached = ("--teacher", trained_teacher.last, "--cached", 1, "--cache", place / "cache", "--epochs", 1)
    arguments = ("distill", "--model", "nano_e", "--dataset", data_yaml, *roots, *cached, "--set", *TINY)
    assert main([str(argument) for argument in arguments]) == 0

    def put(folder: Path) -> None:
        shutil.copytree(place / "cache", folder)

    return put


@pytest.mark.parametrize(
    ("batches", "content"),
    [
        *(("1", content) for content in ("empty", "garbage", "cut")),
        *((batches, "zeros") for batches in ('"many"', "null", "[1]", "-3", "1000000000", "true")),
    ],
)
def test_an_invalid_unfinished_cache_is_started_again(
    distill: Callable[..., Any],
    teacher: Path,
    whole_cache: Callable[[Path], None],
    tmp_path: Path,
    batches: str,
    content: str,
) -> None:
    folder = tmp_path / "kept"
    cached = ("--teacher", teacher, "--cached", 1, "--cache", folder)
    whole_cache(folder)
    header, outputs = folder / "outputs.json", folder / "outputs.npy"
    whole, key = outputs.read_bytes(), json.loads(header.read_text())["key"]
    header.unlink()
    (folder / "progress.json").write_text(f'{{"key": {json.dumps(key)}, "batches": {batches}}}')
    zeros = whole[:128] + bytes(len(whole) - 128)  # behind NumPy's header
    outputs.write_bytes({"empty": b"", "garbage": b"\x80\x04garbage", "cut": whole[:200], "zeros": zeros}[content])
    assert distill(*cached).code == 0
    assert outputs.read_bytes() == whole
    assert json.loads(header.read_text())["key"] == key


def test_a_run_that_reaches_its_time_limit_while_teacher_outputs_are_computed_keeps_them(
    distill: Callable[..., Any], teacher: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    result = distill("--teacher", teacher, "--cached", 2, "--cache", folder, "--max_hours", "1e-9", "--quiet")
    refused(result, "passed while the teacher outputs were computed", str(folder))
    assert json.loads((folder / "progress.json").read_text())["batches"] == 1
    assert distill("--teacher", teacher, "--cached", 2, "--cache", folder).code == 0


def test_a_teacher_with_other_stages_cannot_show_where_to_look(
    distill: Callable[..., Any], tiny_config: Callable[..., RunConfig]
) -> None:
    deeper = ("model.channels=[8,8,8]", "model.blocks=[1,1,1]", "model.attention=[false,false,false]")
    teacher = experiment.train(tiny_config("epochs=1", *deeper)).run.last
    result = distill("--teacher", teacher, "--method", "attention")
    refused(result, "stages have the same frames and joints")


def test_a_run_folder_means_its_last_epoch(distill: Callable[..., Any], teacher: Path, tmp_path: Path) -> None:
    assert distill("--teacher", teacher.parent.parent).code == 0
    (run,) = (tmp_path / "students").glob("run-*")
    assert json.loads((run / "summary.json").read_text())["teachers"][0]["path"] == str(teacher)


def test_options_reach_the_run(distill: Callable[..., Any], teacher: Path, tmp_path: Path) -> None:
    other = another_network(teacher, tmp_path / "other.pth")
    result = distill("--teacher", teacher, "--teacher", other, "--weights", "2,1", "--tau", 2, "--cached", 3)
    assert result.code == 0, result.err
    (run,) = (tmp_path / "students").glob("run-*")
    how = read_checkpoint(run / "checkpoints" / "last.pth").config.distillation
    assert (how.weights, how.tau, how.fixed_augmentations, how.cached) == ([2.0, 1.0], 2.0, 3, True)
    assert how.teachers == [str(teacher), str(other)]


def test_a_runs_own_configuration_repeats_it(
    distill: Callable[..., Any], cli: Callable[..., Any], teacher: Path, tmp_path: Path
) -> None:
    assert distill("--teacher", teacher).code == 0
    (run,) = (tmp_path / "students").glob("run-*")
    assert cli("distill", "--config", run / "config.yaml").code == 0
    first, second = sorted((tmp_path / "students").glob("run-*"))
    tops = [read_checkpoint(each / "checkpoints" / "last.pth").metrics["train_loss"] for each in (first, second)]
    assert tops[0] == tops[1]


def test_the_latest_run_teaches_a_new_student_and_not_one_that_is_resumed(
    distill: Callable[..., Any], teacher: Path, tmp_path: Path
) -> None:
    refused(
        distill("--teacher", "latest", "--resume", "auto"), "--teacher latest may be the student", "Name the teacher"
    )
    shutil.copytree(teacher.parent.parent, tmp_path / "students" / teacher.parent.parent.name)
    result = distill("--teacher", "latest")
    assert result.code == 0, result.err
