"""The pictures that a run leaves when it ends, stops or diverges."""

import logging
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import last
from last.experiments import run as experiment
from last.plots.training_curve import CurveFacts
from last.runs import pictures as run_pictures
from last.runs.confusion import read_confusion
from last.runs.folder import RunFolder
from last.runs.pictures import draw_run, pictures_of
from last.runtime.stop_requests import Stop, StopWatch
from last.settings.run import RunConfig
from last.training import classification
from last.utils.errors import TrainingDiverged

pytest.importorskip("matplotlib")
MakeConfig = Callable[..., RunConfig]
BOTH = ["training_curve.png", "confusion.png"]


pytestmark = pytest.mark.usefixtures("coarse_pictures")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[object, ...]]:
    """Record the arguments of each picture, and draw it."""
    noted: dict[str, tuple[object, ...]] = {}
    for name in ("draw_training_curve", "draw_confusion"):
        draw = getattr(run_pictures, name)

        def note(*arguments: object, name: str = name, draw: Callable[..., None] = draw) -> None:
            noted[name] = arguments
            draw(*arguments)

        monkeypatch.setattr(run_pictures, name, note)
    return noted


def names(run: RunFolder) -> list[str]:
    return [path.name for path in pictures_of(run.path)]


def stop_in_epoch(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Give a reason to stop in the second step of an epoch of three, each tested in one batch."""
    looks = iter(range(1000))
    monkeypatch.setattr(StopWatch, "reason", property(lambda _: Stop.TIME if next(looks) > 4 * epoch else None))


def test_a_finished_run_leaves_both(tiny_config: MakeConfig) -> None:
    assert names(experiment.train(tiny_config("epochs=2"), on_end=draw_run).run) == BOTH


def test_a_finished_run_whose_process_was_killed_before_its_pictures_gets_them_later(tiny_config: MakeConfig) -> None:
    run = experiment.train(tiny_config("epochs=2")).run
    assert names(run) == []
    experiment.train(tiny_config("epochs=2"), "auto", on_end=draw_run)
    assert names(run) == BOTH


def test_a_run_that_stops_leaves_the_confusion_of_its_last_test(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, drawn: dict[str, tuple[object, ...]]
) -> None:
    stop_in_epoch(monkeypatch, 2)
    result = experiment.train(tiny_config("epochs=9"), on_end=draw_run)
    assert (result.stopped, names(result.run)) == (Stop.TIME, BOTH)
    assert drawn["draw_training_curve"][2] == "nano_e on tiny xsub, 2 of 9 epochs"
    assert drawn["draw_confusion"][3:] == ("nano_e on tiny xsub", 0, "after epoch 1")


def test_a_run_that_is_stopped_again_before_its_next_test_still_has_the_one_before(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, drawn: dict[str, tuple[object, ...]]
) -> None:
    config = tiny_config("epochs=9")
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 1)
        run = experiment.train(config).run  # killed, as it were: nothing is drawn
    monkeypatch.setattr(StopWatch, "reason", Stop.TIME)
    assert experiment.train(config, resume="auto", on_end=draw_run).run.path == run.path
    assert drawn["draw_confusion"][3:] == ("nano_e on tiny xsub", 0, "after epoch 0")


def test_a_run_that_stops_in_its_first_epoch_leaves_none(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(StopWatch, "reason", Stop.TIME)
    run = experiment.train(tiny_config("epochs=2"), on_end=draw_run).run
    assert names(run) == []
    assert "pictures" not in caplog.text


def test_a_test_of_a_course_that_the_run_has_left_is_not_shown(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = experiment.train(tiny_config("epochs=3", "checkpoint.keep=3", "test_every=3"), on_end=draw_run).run
    assert names(run) == BOTH
    monkeypatch.setattr(StopWatch, "reason", Stop.TIME)
    changed = tiny_config("epochs=4", "checkpoint.keep=3", "test_every=3")
    experiment.train(changed, resume=str(run.of_epoch(0)), explicit_keys=["epochs"], on_end=draw_run)
    assert names(run) == BOTH[:1]
    assert read_confusion(run.confusion) is None


def test_a_diverged_run_leaves_its_curve(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, drawn: dict[str, tuple[object, ...]]
) -> None:
    model = last.create_model("nano_e", num_classes=3)
    forward = model.forward

    def spoilt(*arguments: object, **options: object) -> torch.Tensor:
        return forward(*arguments, **options) * (1.0 if model.training else math.nan)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "forward", spoilt)
    monkeypatch.setattr(classification, "build_model", lambda *_: model)
    config = tiny_config("epochs=1")
    with pytest.raises(TrainingDiverged):
        experiment.train(config, on_end=draw_run)
    (run,) = map(RunFolder, Path(config.output_root).iterdir())
    assert names(run) == BOTH
    assert drawn["draw_training_curve"][2] == "nano_e on tiny xsub, 1 of 1 epoch, diverged"
    assert drawn["draw_confusion"][4] == 12, "no clip has a prediction"


@pytest.mark.parametrize("error", [RuntimeError("broken"), MemoryError(), OSError("disk")])
def test_pictures_that_fail_are_one_warning_and_no_failed_run(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(run_pictures, "draw_training_curve", fail)
    result = experiment.train(tiny_config("epochs=1"), on_end=draw_run)
    assert result.run.finished
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage().partition(":")[0] for record in warnings] == ["The run's pictures are not complete"]


def test_without_matplotlib_one_line_names_the_extra(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with caplog.at_level(logging.INFO):
        run = experiment.train(tiny_config("epochs=1"), on_end=draw_run).run
    assert names(run) == []
    (line,) = [record for record in caplog.records if "last-har[plots]" in record.getMessage()]
    assert line.levelno == logging.INFO


def facts(run: RunFolder, drawn: dict[str, tuple[object, ...]]) -> CurveFacts:
    draw_run(run)
    found = drawn["draw_training_curve"][3]
    assert isinstance(found, CurveFacts)
    return found


def test_the_curve_of_a_distilled_run_names_the_label_smoothing_beside_its_teachers(
    tiny_config: MakeConfig, teacher: Path, drawn: dict[str, tuple[object, ...]]
) -> None:
    how = (f"distillation.teachers=[{teacher}]", "distillation.label_smoothing=0.05")
    shown_facts = facts(experiment.train(tiny_config("epochs=1", *how)).run, drawn)
    assert shown_facts.part == ("train_labels_loss", "the labels' loss with label smoothing 0.05")


@pytest.mark.parametrize(
    ("overrides", "train"),
    [
        ([], "loss with label smoothing 0.1, augmented clips, dropout"),
        (["label_smoothing=0", "model.dropout=0", "model.block_dropout=0"], "cross-entropy, augmented clips"),
    ],
)
def test_the_curve_says_what_its_two_losses_are(
    tiny_config: MakeConfig, drawn: dict[str, tuple[object, ...]], overrides: list[str], train: str
) -> None:
    shown_facts = facts(experiment.train(tiny_config("epochs=1", *overrides)).run, drawn)
    assert (shown_facts.train, shown_facts.test) == (train, "plain cross-entropy, unaugmented clips")
    assert shown_facts.test_clips == 12


def test_the_curve_of_a_distilled_run_names_its_teachers_and_the_parts_of_its_loss(
    tiny_config: MakeConfig, teacher: Path, drawn: dict[str, tuple[object, ...]]
) -> None:
    shown_facts = facts(experiment.train(tiny_config("epochs=1", f"distillation.teachers=['{teacher}']")).run, drawn)
    assert shown_facts.train == "the labels' and the teachers' loss together, augmented clips, dropout"
    assert shown_facts.part == ("train_labels_loss", "the labels' loss with label smoothing 0.1")
    assert drawn["draw_training_curve"][2] == "nano_e on tiny xsub, distilled from nano_e"


def test_averaged_weights_are_the_ones_whose_test_is_drawn(
    tiny_config: MakeConfig, drawn: dict[str, tuple[object, ...]]
) -> None:
    shown_facts = facts(experiment.train(tiny_config("epochs=1", "ema.decay=0.9")).run, drawn)
    assert (shown_facts.weights, shown_facts.test) == (
        "ema_",
        "plain cross-entropy, unaugmented clips, averaged weights",
    )
