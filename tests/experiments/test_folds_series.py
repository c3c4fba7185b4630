"""The same training for each fold, alone and with several seeds; and the split of one run from a file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from last.experiments import series
from last.experiments.config import resolve
from last.experiments.folds import train_folds, with_split
from last.experiments.run import Result, train
from last.runs.folder import RunFolder
from last.settings.run import RunConfig
from last.settings.splits import FoldChoice
from last.tasks.measures import CLASSIFICATION
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return the split and the seed of each training; none is carried out, each has its fold's number as results."""
    found: list[tuple[str, int]] = []

    def pretend(config: RunConfig, *_: object, **__: object) -> Result:
        found.append((config.data.split, config.seed))
        fold = config.data.protocols[config.data.split].fold
        facts = {"seed": config.seed, "split": config.data.split, "test_clips": 10 * fold}
        return Result(RunFolder(Path(f"run{len(found)}")), facts | dict.fromkeys(CLASSIFICATION.figures(), float(fold)))

    monkeypatch.setattr(series, "train", pretend)
    return found


def test_every_fold_is_trained_and_averaged_also_over_all_test_clips(
    tiny_config: MakeConfig, trained: list[tuple[str, int]]
) -> None:
    results, file = train_folds(tiny_config("seed=5"), FoldChoice("file", 3))
    assert trained == [(f"file_fold{fold}of3", 5) for fold in (1, 2, 3)]
    facts = json.loads(file.read_text())
    assert file.name == "folds-nano_e-tiny-file_3.json"
    assert facts["mean"]["final_top1"] == 2.0 and facts["standard_deviation"]["final_top1"] == 1.0
    assert facts["pooled"]["final_top1"] == pytest.approx((1 * 10 + 2 * 20 + 3 * 30) / 60)
    assert [each["test_clips"] for each in facts["runs"].values()] == [10, 20, 30]
    assert len(results) == 3


def test_every_fold_is_trained_with_every_seed(tiny_config: MakeConfig, trained: list[tuple[str, int]]) -> None:
    _, file = train_folds(tiny_config(), FoldChoice("subject", 0), seeds=[3, 4])
    assert trained == [(f"subject_fold{fold}of2", seed) for seed in (3, 4) for fold in (1, 2)]
    assert file.name == "folds-nano_e-tiny-subject_2-3_4.json"


def test_folds_are_resumed_together_only(tiny_config: MakeConfig) -> None:
    with pytest.raises(
        UserError, match="--folds trains a run for each fold, so it can be resumed only with --resume auto"
    ):
        train_folds(tiny_config(), FoldChoice("subject", 2), resume="runs/run-1")


def test_a_run_of_one_fold_is_resumed_by_itself_and_tests_its_fold_only(tiny_config: MakeConfig) -> None:
    config = with_split(tiny_config("epochs=1"), FoldChoice("subject", 2, fold=2))
    result = train(config)
    assert (result.summary["split"], result.summary["test_clips"]) == ("subject_fold2of2", 12)
    assert train(config, "auto").run.path == result.run.path
    assert (
        train(with_split(tiny_config("epochs=1"), FoldChoice("subject", 2, fold=1)), "auto").run.path != result.run.path
    )


def test_a_run_whose_split_was_a_file_is_resumed_without_it(tiny_config: MakeConfig, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("train:\n" + "".join(f"clip{n:02}\n" for n in range(18)) + "test:\nclip20\nclip21\nclip23\n")
    result = train(with_split(tiny_config("epochs=1", f"data.split={file}"), None))
    assert (result.summary["split"], result.summary["test_clips"]) == ("mine", 3)
    file.unlink()
    again = train(resolve(recipe=str(result.run.config)), str(result.run.path))
    assert again.run.path == result.run.path and again.summary["test_clips"] == 3


def test_a_file_that_changed_since_is_another_split(tiny_config: MakeConfig, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("train:\nclip00\nclip01\nclip02\nclip03\ntest:\nclip20\nclip21\nclip23\n")
    train(with_split(tiny_config("epochs=1", f"data.split={file}"), None))
    file.write_text("train:\nclip00\nclip01\ntest:\nclip20\n")
    with pytest.raises(UserError, match=r"data\.protocols\.mine\.parts: 'TTTT-"):
        train(with_split(tiny_config("epochs=2", f"data.split={file}"), None), "auto")
