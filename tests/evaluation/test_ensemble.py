"""Several networks as one: what is summed, how it is weighed, and what is refused."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from last.evaluation.clip_metrics import ClipMetric
from last.evaluation.ensemble import combined, likeliest_weights
from last.evaluation.evaluate import evaluate
from last.evaluation.findings import EnsembleResult, MemberResult
from last.evaluation.metrics import Predictions
from last.evaluation.request import EvalRequest
from last.runs.folder import RunFolder
from last.tasks.measures import Metric
from last.utils.errors import UserError

HELD = ("epochs=1", "validation=split", "validation_fraction=0.3")


def predictions(scores: list[list[float]], names: str = "ab", unusable: list[bool] | None = None) -> Predictions:
    labels = np.zeros(len(scores), np.int64)
    return Predictions(
        list(names), labels, np.array(scores, np.float32), None if unusable is None else np.array(unusable)
    )


def test_probabilities_are_summed_by_clip_whatever_the_order() -> None:
    one, other = predictions([[1.0, 0.0], [0.5, 0.5]]), predictions([[0.2, 0.8], [0.6, 0.4]], names="ba")
    found = combined([one, other], np.array([0.75, 0.25]))
    assert found.names == ["a", "b"]
    np.testing.assert_allclose(found.scores, [[0.9, 0.1], [0.425, 0.575]], rtol=1e-6)


class _Constant:
    """A metric that is 0 for each clip that can be used."""

    METRIC, UNUSABLE = Metric("constant", "constant"), 99.0

    @staticmethod
    def values(scores: torch.Tensor, labels: torch.Tensor, settings: object) -> torch.Tensor:
        return torch.zeros(len(scores))


def test_a_clip_that_one_network_cannot_use_is_unusable() -> None:
    one = predictions([[1.0, 0.0], [0.5, 0.5]])
    other = predictions([[-np.inf, -np.inf], [0.5, 0.5]], unusable=[True, False])
    found = combined([one, other], np.array([1.0, 0.0]))
    assert found.scored.tolist() == [False, True]
    assert np.isneginf(found.scores[0]).all()  # by which metrics know it
    metric = ClipMetric(_Constant, None)
    assert metric.total(torch.from_numpy(found.scores), torch.from_numpy(found.labels)) == _Constant.UNUSABLE


def test_the_likeliest_weights_prefer_the_network_that_is_right_and_keep_equal_ones_equal() -> None:
    right, wrong = [[0.9, 0.1]] * 2, [[0.1, 0.9]] * 2
    weights = likeliest_weights([predictions(right), predictions(wrong)])
    assert weights[0] > 0.99 and weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(likeliest_weights([predictions(right), predictions(right)]), [0.5, 0.5])
    mixed = [[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.9, 0.1]]
    np.testing.assert_allclose(likeliest_weights([predictions(list(each)) for each in mixed]), [0.5, 0.5])


@pytest.fixture
def runs(train_once: Callable[..., RunFolder]) -> list[Path]:
    return [train_once(*HELD).last, train_once(*HELD, "model.channels=[8,16]").last]


def wrong_clips(predictions: Path) -> set[str]:
    rows = csv.DictReader(predictions.read_text().splitlines())
    return {row["name"] for row in rows if row["correct"] == "0"}


def test_single_and_summed_figures_and_all_parameters_are_reported(runs: list[Path], tmp_path: Path) -> None:
    result = evaluate(EvalRequest(runs[0], members=runs[1:], pictures=False), tmp_path / "both")
    folders = [tmp_path / name for name in ("first", "second")]
    singles = [evaluate(EvalRequest(run, pictures=False), out) for run, out in zip(runs, folders, strict=True)]
    ensemble = result.extras.ensemble
    assert ensemble is not None
    assert [member.top1 for member in ensemble.members] == [single.metrics.top1 for single in singles]
    assert ensemble.parameters == sum(int(single.facts["parameters"]) for single in singles)
    written = json.loads((tmp_path / "both" / "metrics.json").read_text())["ensemble"]
    assert written["source"] == "equal" and [each["weight"] for each in written["members"]] == [0.5, 0.5]
    wrong = [wrong_clips(folder / "predictions.csv") for folder in folders]
    assert (written["wrong_in_any"], written["wrong_in_most"]) == (len(wrong[0] | wrong[1]), len(wrong[0] & wrong[1]))
    assert written["wrong_in_all"] == len(wrong[0] & wrong[1])


def test_most_networks_are_named_from_three_on() -> None:
    pair = [MemberResult(name, "nano_e", 0.5, 1, 50.0) for name in "ab"]
    assert EnsembleResult(pair, "equal", 4, 2, 2).agreement == "Wrong in at least one network: 4 clips; in all: 2."
    three = EnsembleResult([*pair, pair[0]], "equal", 4, 3, 1).agreement
    assert three == "Wrong in at least one network: 4 clips; in most networks: 3; in all: 1."


def test_weights_need_enough_clips_that_all_networks_held_out(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = EvalRequest(runs[0], members=runs[1:], weights="train", pictures=False)
    with pytest.raises(UserError, match="held out 3 clips in common, and 20 are needed"):
        evaluate(request, tmp_path / "report")
    monkeypatch.setattr("last.evaluation.ensemble.FEWEST_TO_WEIGH", 3)
    found = evaluate(request, tmp_path / "report").extras.ensemble
    assert found is not None and "3 training clips that every network held out" in found.source
    assert sum(member.weight for member in found.members) == pytest.approx(1.0)


def test_weights_are_not_found_on_the_clips_that_are_tested(runs: list[Path], tmp_path: Path) -> None:
    request = EvalRequest(runs[0], "val", members=runs[1:], weights="train", pictures=False)
    with pytest.raises(UserError, match="weights are never found on tested clips"):
        evaluate(request, tmp_path / "out")


def test_weights_of_networks_without_held_out_clips_are_refused(
    train_once: Callable[..., RunFolder], runs: list[Path], tmp_path: Path
) -> None:
    without = train_once("epochs=1").last
    with pytest.raises(UserError, match=r"last.pth held out no clips.* --weights equal"):
        evaluate(EvalRequest(runs[0], members=[without], weights="train"), tmp_path / "report")


def test_one_network_has_no_weights_and_the_same_file_is_not_two(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--weights train is for an ensemble"):
        evaluate(EvalRequest(runs[0], weights="train"), tmp_path / "report")
    with pytest.raises(UserError, match=r"--compare .* is the network that is evaluated"):
        evaluate(EvalRequest(runs[0], compare=runs[0]), tmp_path / "report")
    with pytest.raises(UserError, match="is given twice"):
        evaluate(EvalRequest(runs[0], members=[runs[0]]), tmp_path / "report")


@pytest.mark.parametrize("spelling", ["relative", "roundabout", "link"])
def test_a_network_is_not_summed_or_compared_with_itself_however_its_path_is_spelt(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    monkeypatch.chdir(runs[0].parent)
    (tmp_path / "linked.pth").symlink_to(runs[0])
    same = {
        "relative": Path(runs[0].name),
        "roundabout": runs[0].parent / ".." / runs[0].parent.name / runs[0].name,
        "link": tmp_path / "linked.pth",
    }[spelling]
    with pytest.raises(UserError, match=r"--compare .* is the network that is evaluated"):
        evaluate(EvalRequest(runs[0], compare=same), tmp_path / "report")
    with pytest.raises(UserError, match="is given twice"):
        evaluate(EvalRequest(runs[0], members=[same]), tmp_path / "report")


def test_a_copy_of_a_network_is_not_another_one(runs: list[Path], tmp_path: Path) -> None:
    copy = Path(shutil.copy(runs[0], tmp_path / "copy.pth"))
    with pytest.raises(UserError, match=f"{copy} has the weights of {runs[0]}: an ensemble needs different networks"):
        evaluate(EvalRequest(runs[0], members=[runs[1], copy]), tmp_path / "report")
