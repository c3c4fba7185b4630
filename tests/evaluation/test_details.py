"""What an evaluation measures beside its metrics: intervals, confusions, streams, epochs, cost, and what it cannot."""

import json
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from last.evaluation import ensemble as last_ensemble
from last.evaluation.details import confusions_of, correct_clips, share_of
from last.evaluation.evaluate import EvalResult, evaluate
from last.evaluation.findings import Details
from last.evaluation.metrics import Predictions, measure
from last.evaluation.request import EvalRequest, Further, TestTime
from last.evaluation.tested import Condition, TestedModel, open_tested, use_statistics
from last.runs.checkpoint import read_checkpoint
from last.runs.folder import RunFolder

DETAILS = Further(details=True)


def detailed(result: EvalResult) -> Details:
    assert result.extras.details is not None
    return result.extras.details


@pytest.fixture(scope="module")
def result(train_once: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> EvalResult:
    run = train_once("epochs=2", "validation=split", "validation_fraction=0.3")
    return evaluate(EvalRequest(run.last, further=DETAILS, pictures=False), tmp_path_factory.mktemp("detailed"))


def test_figures_have_intervals_around_them(result: EvalResult) -> None:
    details, metrics = detailed(result), result.metrics
    for estimate, value in (
        (details.top1, metrics.top1),
        (details.mean_class_accuracy, metrics.mean_class_accuracy),
        *((each.accuracy, metrics.per_class[each.index].accuracy) for each in details.classes),
    ):
        assert estimate is not None and estimate.value == pytest.approx(value)
        assert estimate.low <= estimate.value + 1e-9 and estimate.value <= estimate.high + 1e-9
    assert details.classes[0].problem == "4 clips say little"


def test_each_stream_is_measured_without_and_alone(result: EvalResult) -> None:
    streams = detailed(result).streams
    assert [each.name for each in streams] == ["joint", "velocity", "bone"]
    path = Path(result.facts["checkpoint"])
    tested = open_tested(EvalRequest(path), path, read_checkpoint(path))
    use_statistics(tested, EvalRequest(path))
    for each, others in zip(streams, (["velocity", "bone"], ["joint", "bone"], ["joint", "velocity"]), strict=True):
        for found, zeroed in ((each.without, [each.name]), (each.alone, others)):
            assert found == share_of(correct_clips(tested.predict(condition=Condition(zeroed=zeroed))))


def test_best_and_last_epoch_are_side_by_side_with_how_the_best_was_chosen(result: EvalResult) -> None:
    details = detailed(result)
    best, last = details.epochs
    assert best.title == "best epoch, chosen on 3 held-out training clips" and last.title == "last epoch"
    assert last.evaluated and last.top1 == details.top1
    if best.epoch == last.epoch:
        assert details.epochs_difference is None
    else:
        assert details.epochs_difference is not None
        assert details.epochs_difference.value == pytest.approx(best.top1.value - last.top1.value)


def test_a_best_epoch_of_the_test_part_is_named_so_and_a_lone_checkpoint_has_none(
    trained_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    run = trained_run("epochs=1")
    found = detailed(evaluate(EvalRequest(run.best, further=DETAILS, pictures=False), tmp_path / "report"))
    assert found.epochs[0].title == "best epoch, chosen on the test part" and found.epochs[0].evaluated
    assert found.reliability.source == "not available: the run held out no clips"
    alone = run.best.rename(tmp_path / "alone.pth")
    found = detailed(evaluate(EvalRequest(alone, further=DETAILS, pictures=False), tmp_path / "report"))
    assert not found.epochs and "no best_model.pth and last.pth" in found.no_epochs


def test_an_ensemble_has_no_streams_and_epochs_and_the_reason_is_given(
    train_once: Callable[..., RunFolder], tmp_path: Path
) -> None:
    run = train_once("epochs=2", "validation=split", "validation_fraction=0.3")
    request = EvalRequest(run.last, members=[run.best], further=DETAILS, pictures=False)
    found = detailed(evaluate(request, tmp_path / "report"))
    assert not found.streams and "several networks" in found.no_streams
    assert not found.epochs and "several networks" in found.no_epochs
    assert found.cost.networks == 2 and found.reliability.temperature is not None


def test_the_cost_is_that_of_the_model_and_its_file(result: EvalResult) -> None:
    cost = detailed(result).cost
    assert str(cost.parameters) == result.facts["parameters"]
    assert cost.multiply_adds and cost.multiply_adds > cost.parameters
    assert cost.file_bytes == Path(result.facts["checkpoint"]).stat().st_size


def test_details_are_written_as_json_without_nan(result: EvalResult) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(text)

    written = json.loads(result.files["details"].read_text(), parse_constant=refuse)
    assert written["top1"]["value"] == pytest.approx(result.metrics.top1, abs=1e-3)
    assert [each["name"] for each in written["classes"]] == ["rise", "fall", "still"]


def test_the_confusions_that_cost_most_come_first_with_the_other_way_round() -> None:
    labels, predicted = np.repeat([0, 1, 2], 5), np.array([0, 1, 1, 1, 2, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2])
    scores = np.eye(3, dtype=np.float32)[predicted]
    metrics = measure(Predictions([str(number) for number in range(15)], labels, scores), 3)
    first, *others = confusions_of(metrics)
    assert (first.true, first.predicted, first.count, first.back) == (0, 1, 3, 1)
    assert first.share == pytest.approx(60.0) and first.cost == pytest.approx(20.0)
    assert [(each.true, each.predicted) for each in others] == [(0, 2), (1, 0)]
    assert len(confusions_of(metrics, most=1)) == 1


@pytest.mark.parametrize("method", ["crop", "uniform"])
def test_averages_at_test_time_stand_beside_the_plain_figures(
    train_once: Callable[..., RunFolder], tmp_path: Path, method: str
) -> None:
    run = train_once("epochs=1", f"data.sampling.method={method}")
    plain = evaluate(EvalRequest(run.last, pictures=False), tmp_path / "plain")
    how = TestTime(crops=3, turns=[-15.0, 15.0], mirror=True)
    one, again = (
        evaluate(EvalRequest(run.last, test_time=how, pictures=False), tmp_path / name) for name in ("one", "again")
    )
    averaged = one.extras.test_time
    assert averaged is not None and averaged.looks == 3 * 3 * 2
    assert one.metrics.loss == plain.metrics.loss and averaged.metrics.loss != plain.metrics.loss
    assert averaged.gain.value == pytest.approx(averaged.metrics.top1 - one.metrics.top1)
    texts = [(tmp_path / name / "metrics.json").read_text() for name in ("one", "again")]
    first, second = (json.loads(text)["test_time"] for text in texts)
    assert first == second and first["average"] == "3 crops, turned by -15 and 15 degrees, mirrored"
    assert again.metrics.loss == plain.metrics.loss


def test_no_temperature_is_fitted_on_the_clips_that_are_tested(
    train_once: Callable[..., RunFolder], tmp_path: Path
) -> None:
    run = train_once("epochs=2", "validation=split", "validation_fraction=0.3")
    request = EvalRequest(run.last, "val", pictures=False, further=DETAILS)
    details = detailed(evaluate(request, tmp_path))
    assert details.reliability.temperature is None
    assert details.reliability.source == "not available: the clips that the run held out are those that are tested"


@pytest.mark.parametrize("networks", [1, 2])
def test_everything_is_measured_and_fitted_on_clips_with_the_dropped_joints_of_the_request(
    train_once: Callable[..., RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, networks: int
) -> None:
    seen = []
    predict = TestedModel.predict

    def noted(self: TestedModel, *args: Any, **kwargs: Any) -> Predictions:
        bound = signature(predict).bind(self, *args, **kwargs)
        bound.apply_defaults()
        seen.append(bound.arguments["condition"])
        return predict(*bound.args, **bound.kwargs)

    monkeypatch.setattr(TestedModel, "predict", noted)
    monkeypatch.setattr(last_ensemble, "FEWEST_TO_WEIGH", 1)
    run = train_once("epochs=2", "validation=split", "validation_fraction=0.3")
    others = [run.best] if networks > 1 else []
    weights = "train" if others else "equal"
    request = EvalRequest(
        run.last, members=others, weights=weights, drop_joints=0.4, drop_frames=0.2, pictures=False, further=DETAILS
    )
    details = detailed(evaluate(request, tmp_path))
    assert details.reliability.temperature is not None and bool(details.streams) == (not others)
    assert {(each.joints, each.limbs, each.frames) for each in seen} == {(0.4, 0.0, 0.2)}
