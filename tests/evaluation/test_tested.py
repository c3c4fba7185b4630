"""Checkpoints under test: conditions that change nothing, and data and models that do not fit."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from last.data.loading.views import View
from last.data.store.clip import Clip
from last.data.store.reader import write_store
from last.evaluation.evaluate import evaluate
from last.evaluation.request import EvalRequest, Further, TestTime
from last.evaluation.tested import PLAINLY, Condition, TestedModel, open_tested
from last.experiments import run as experiment
from last.experiments.config import resolve
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder
from last.settings.run import RunConfig
from last.utils.errors import UserError

DETAILS = Further(details=True)
SMALL = ["epochs=1", "input_frames=8", "model.channels=[8]", "model.blocks=[1]", "batch_size=4"]
SMALL += ["model.attention=[false]", "tensorboard=false"]
Made = Callable[..., Path]


@pytest.fixture
def tested(train_once: Callable[..., RunFolder]) -> TestedModel:
    path = train_once("epochs=1").last
    return open_tested(EvalRequest(path), path, read_checkpoint(path))


@pytest.mark.parametrize(
    "condition",
    [Condition(jitter=1e-9), Condition(zeroed=["nothing"]), Condition(views=[View(), View(turn=360.0)])],
)
def test_a_condition_that_changes_nothing_gives_the_plain_scores(tested: TestedModel, condition: Condition) -> None:
    plain, other = tested.predict(), tested.predict(condition=condition)
    np.testing.assert_allclose(other.scores, plain.scores, atol=1e-5)


@pytest.mark.parametrize(
    "condition",
    [
        Condition(joints=0.5),
        Condition(jitter=0.5),
        Condition(turn=90.0),
        Condition(step=8),
        Condition(zeroed=["bone"]),
        Condition(views=[View(), View(mirror=True)]),
        Condition(draws=3),
    ],
)
def test_every_other_condition_changes_the_scores_of_the_same_clips(tested: TestedModel, condition: Condition) -> None:
    plain, other = tested.predict(), tested.predict(condition=condition)
    assert other.names == plain.names and other.labels.tolist() == plain.labels.tolist()
    assert np.abs(other.scores - plain.scores).max() > 1e-4
    assert Condition() == PLAINLY


def a_clip(number: int, label: int, layout: str, frames: int, still: bool = False) -> Clip:
    joints, coordinates = (25, 3) if layout == "ntu25" else (15, 3)
    values = np.random.default_rng(number).normal(size=(1, frames, joints, coordinates)).astype(np.float32)
    values = np.zeros_like(values) if still else values
    return Clip(f"c{number:02}", values, np.ones((1, frames), np.bool_), label, subject=1 + number % 2, camera=1)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Return a function that trains on a small data set of its own and returns the checkpoint."""

    def make(
        clips: Iterator[Clip],
        classes: list[str],
        layout: str = "ntu25",
        name: str = "own",
        copies: str = "allow",
        settings: Sequence[str] = (),
    ) -> Path:
        folder = tmp_path / f"{name}-{layout}-{len(classes)}"
        write_store(folder / "data" / name, clips, name=name, layout=layout, classes=classes)
        rule = f"split: xsub, copies: {copies}, protocols: {{xsub: {{by: subject, train: [1]}}}}"
        (folder / "own.yaml").write_text(f"data: {{name: {name}, layout: {layout}, classes: {classes}, {rule}}}")
        config: RunConfig = resolve(
            model="nano_e",
            dataset=str(folder / "own.yaml"),
            environment="local",
            overrides=[*SMALL, *settings],
            flags={"data_root": str(folder / "data"), "output_root": str(folder / "runs"), "device": "cpu"},
        )
        return experiment.train(config).run.last

    return make


def clips_of(labels: list[int], layout: str = "ntu25", frames: int = 9) -> Iterator[Clip]:
    return (a_clip(number, label, layout, frames) for number, label in enumerate(labels))


def test_a_class_without_clips_is_shown_with_its_reason(made: Made, tmp_path: Path) -> None:
    path = made(clips_of([0, 0, 1, 1, 0, 0, 1, 1]), ["a", "b", "never"])
    result = evaluate(EvalRequest(path, further=DETAILS, pictures=False), tmp_path / "report")
    details = result.extras.details
    assert details is not None and details.classes[2].accuracy is None and details.classes[2].problem == "no clips"
    assert "1 class of 3 has no tested clip, and no part in the mean class accuracy." in details.notes
    assert not any("nan" in text.lower() for text in (tmp_path / "report" / "details.json").read_text().split('"'))


def test_one_class_alone_is_evaluated_and_said_to_mean_nothing(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = evaluate(
        EvalRequest(made(clips_of([0] * 8), ["only"]), further=DETAILS, pictures=False), tmp_path / "report"
    )
    details = result.extras.details
    assert details is not None and details.reliability.error is None and not details.confusions
    assert details.notes[0].startswith("There is one class only")
    assert "All 4 training clips of xsub are of one class (only), so there is nothing to tell apart" in caplog.text
    assert "There is one class only" in caplog.text, "without --details too"
    assert str(result.metrics.loss) == "0.0", "without a minus"


def test_tested_classes_that_were_never_trained_are_warned_of(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = [0, 0, 1, 2, 0, 0, 1, 2]  # class 2 has clips of subject 2 alone
    path = made(clips_of(labels), ["a", "b", "untrained"])
    caplog.clear()
    result = evaluate(EvalRequest(path, further=DETAILS, pictures=False), tmp_path / "report")
    assert "2 tested clips of 1 class without any training clip (untrained)" in caplog.text
    details = result.extras.details
    assert details is not None and details.notes[0].startswith("2 tested clips of 1 class without any training clip")


def test_a_training_of_one_class_of_several_is_said_to_mean_nothing(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = made(clips_of([0] * 8), ["a", "b", "c", "d"])
    caplog.clear()
    result = evaluate(EvalRequest(path, further=DETAILS, pictures=False), tmp_path / "report")
    details = result.extras.details
    assert details is not None
    for told in ("All training clips are of one class (a)", "All tested clips are of one class (a)"):
        assert told in caplog.text, "without --details too"
        assert any(told in note for note in details.notes)


def test_clips_of_one_frame_are_evaluated_in_every_way(made: Made, tmp_path: Path) -> None:
    path = made(clips_of([0, 1] * 4, frames=1), ["a", "b"])
    how = TestTime(crops=3, turns=[15.0], mirror=True)
    request = EvalRequest(path, test_time=how, further=Further(details=True, robustness=True), pictures=False)
    result = evaluate(request, tmp_path / "report")
    assert all(curve.points for curve in result.extras.robustness)


def test_a_clip_of_zeros_has_a_score_and_counts_as_any_other(made: Made, tmp_path: Path) -> None:
    clips = [*clips_of([0, 0, 1, 1, 0, 0, 1]), a_clip(7, 1, "ntu25", 9, still=True)]
    result = evaluate(EvalRequest(made(iter(clips), ["a", "b"]), further=DETAILS, pictures=False), tmp_path / "report")
    details = result.extras.details
    assert details is not None
    assert int(result.metrics.unusable.sum()) == 0
    assert sum(each.clips for each in result.metrics.per_class) == 4
    assert all(0 <= each.accuracy.value <= 100 for each in details.classes if each.accuracy is not None)


def test_an_ensemble_of_different_classes_layouts_or_clips_is_refused(made: Made, tmp_path: Path) -> None:
    labels = [0, 1] * 4
    paths = [
        made(clips_of(labels), ["a", "b"]),
        made(clips_of(labels), ["a", "b", "c"]),
        made(clips_of(labels, layout="sbu15"), ["a", "b"], layout="sbu15"),
        made(clips_of([0, 1] * 5), ["a", "b"], name="more"),
    ]
    first, classes, layout, clips = paths
    for path in (classes, layout):
        shutil.rmtree(path.parents[3] / "data")  # which is looked for only if the networks fit
    for others, message in [
        ([classes], r"ensemble of different classes: .* 2 classes, and .* 3 \(with c\)"),
        ([layout], r"ensemble of different layouts: .* ntu25, and .* sbu15"),
        ([clips], r"ensemble that is tested on different clips: .* 5 clips"),
    ]:
        with pytest.raises(UserError, match=message):
            evaluate(EvalRequest(first, members=others), tmp_path / "out")
    with pytest.raises(UserError, match=r"comparison of different classes: .* 2 classes, and .* 3 \(with c\)"):
        evaluate(EvalRequest(first, compare=classes), tmp_path / "out")


def test_clips_that_are_no_copies_of_training_clips_are_counted_apart(made: Made, tmp_path: Path) -> None:
    clips = [replace(clip, subject=1 + number // 4) for number, clip in enumerate(clips_of([0, 1] * 4))]
    copied = [replace(clips[number], name=clips[4 + number].name, subject=2) for number in (0, 1)]
    path = made(iter([*clips[:4], *copied, *clips[6:]]), ["a", "b"], copies="warn")

    result = evaluate(EvalRequest(path, pictures=False), tmp_path / "out")

    found = result.extras.without_copies
    assert found is not None and (found.clips, found.copies) == (2, 2) and found.top1 is not None
    rows = (tmp_path / "out" / "predictions.csv").read_text().splitlines()[1:]
    named = {clip.name for clip in clips[6:]}
    own = [row.split(",") for row in rows if row.split(",")[0] in named]
    assert len(own) == 2 and found.top1.value == 100 * sum(row[1] == row[3] for row in own) / 2
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["without_copies"]["copies"] == 2
    trained = evaluate(EvalRequest(path, subset="train", pictures=False), tmp_path / "train")
    assert trained.extras.without_copies is None


def test_copies_of_clips_that_a_run_held_out_are_no_copies_of_training_clips(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = [replace(clip, subject=1) for clip in clips_of([0, 1] * 4)]
    copied = [replace(clip, name=f"copy of {clip.name}", subject=2) for clip in trained]
    own = replace(a_clip(9, 1, "ntu25", 9), subject=2)
    settings = ["validation=split", "validation_fraction=0.25"]
    path = made(iter([*trained, *copied, own]), ["a", "b"], copies="warn", settings=settings)
    assert "6 of 9 test clips are copies" in caplog.text
    found = evaluate(EvalRequest(path, pictures=False), tmp_path / "out").extras.without_copies
    assert found is not None and (found.clips, found.copies) == (3, 6)


def test_a_test_part_of_nothing_but_copies_has_no_figure_without_them(made: Made, tmp_path: Path) -> None:
    clips = [replace(clip, subject=1 + number // 4) for number, clip in enumerate(clips_of([0, 1] * 4))]
    copied = [replace(clips[number], name=clips[4 + number].name, subject=2) for number in range(4)]
    path = made(iter([*clips[:4], *copied]), ["a", "b"], copies="warn")
    found = evaluate(EvalRequest(path, further=DETAILS, pictures=False), tmp_path / "out").extras.without_copies
    assert found is not None and (found.clips, found.copies, found.top1) == (0, 4, None)


def test_a_checkpoint_of_another_layout_than_the_data_set_is_refused(made: Made, tmp_path: Path) -> None:
    first = made(clips_of([0, 1] * 4), ["a", "b"])
    other = made(clips_of([0, 1] * 4, layout="sbu15"), ["a", "b"], layout="sbu15", name="other")
    data = other.parents[3] / "own.yaml"
    with pytest.raises(UserError, match=r"was trained on own \(2 classes, ntu25\); other has 2 classes and the layout"):
        evaluate(EvalRequest(first, dataset=str(data)), tmp_path / "report")


def test_a_data_set_of_other_class_names_is_refused_by_what_differs(made: Made, tmp_path: Path) -> None:
    first = made(clips_of([0, 1] * 4), ["a", "b"])
    data = made(clips_of([0, 1] * 4), ["b", "c"], name="other").parents[3] / "own.yaml"
    with pytest.raises(UserError, match=r"other has 2 classes \(with c, without a\) and the layout ntu25"):
        evaluate(EvalRequest(first, dataset=str(data)), tmp_path / "report")


def test_clips_of_two_coordinates_cannot_be_turned(tested: TestedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    request = EvalRequest(tested.path, test_time=TestTime(turns=[15.0]))
    monkeypatch.setattr(type(tested.config.data.skeleton), "flat", property(lambda _: True))
    with pytest.raises(UserError, match="--turns needs clips of three coordinates"):
        evaluate(request, tested.path.parent / "report")
