"""Settings suggested from the size of a data set, with their reasons, as a recipe that can be trained."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from last.data.store.clip import Clip
from last.data.store.reader import Store, write_store
from last.experiments import suggested_recipe
from last.experiments.config import resolve
from last.experiments.suggested_recipe import longer_training, recipe_text, suggest
from last.settings.data import DataConfig, NormalizeConfig, ProtocolConfig

DATA = DataConfig(
    name="gestures",
    classes=["wave", "clap"],
    split="own",
    protocols={"own": ProtocolConfig("subject", train=[1])},
)


def store_of(folder: Path, counts: tuple[int, int], frames: int = 30) -> Store:
    random = np.random.default_rng(0)
    clips = [
        Clip(
            f"{label}_{number}_{subject}",
            random.normal(size=(1, frames, 25, 3)).astype(np.float32),
            np.ones((1, frames), bool),
            label,
            subject=subject,
        )
        for subject, share in ((1, 1), (2, 4))
        for label, count in enumerate(counts)
        for number in range(max(1, count // share))
    ]
    return write_store(folder, clips, name="gestures", layout="ntu25", classes=DATA.classes)


def settings(store: Store, data: DataConfig = DATA, minutes: float = 5.0) -> dict[str, object]:
    return {each.key: each.value for each in suggest(store, data, minutes)}


def test_a_small_set_is_passed_many_times_and_keeps_clips_to_validate(tmp_path: Path) -> None:
    found = settings(store_of(tmp_path / "a", (20, 24)))
    assert (found["epochs"], found["repeats_per_epoch"]) == (35, 10)  # 350 passes
    assert found["validation"] == "split"
    assert found["input_frames"] == 32
    reasons = {each.key: each.reason for each in suggest(store_of(tmp_path / "b", (20, 24)), DATA, 1.0)}
    counts = "each of the 40 training clips appears in an epoch; 4 more are held out"
    assert reasons["repeats_per_epoch"] == f"how often {counts}"
    assert "about 1 minute" in reasons["epochs"] and "minutes" not in reasons["epochs"]
    assert "class_sampling" not in found


def test_rare_classes_are_drawn_more_often_and_few_clips_are_all_trained_on(tmp_path: Path) -> None:
    found = settings(store_of(tmp_path / "a", (40, 6)))
    assert found["class_sampling"] == "square_root"
    assert found["validation"] == "test"
    reasons = {each.key: each.reason for each in suggest(store_of(tmp_path / "b", (40, 6)), DATA, 1.0)}
    assert reasons["validation"].startswith("clap has 6 training clips, and 10 are needed to hold one out")


def test_long_clips_get_more_frames_and_little_time_fewer_passes(tmp_path: Path) -> None:
    found = settings(store_of(tmp_path / "a", (20, 24), frames=80), minutes=0.1)
    assert found["input_frames"] == 64
    assert found["epochs"] * found["repeats_per_epoch"] == 12  # type: ignore[operator]


def test_the_passes_follow_the_measured_speed_and_the_reason_says_how_long_they_take(tmp_path: Path) -> None:
    # 3,960 clips train; 440 validate, 1,100 test, 2,048 give statistics at a third of the work: 5,156 clips an epoch
    store = store_of(tmp_path / "a", (2000, 2400))

    def suggested(speed: float) -> tuple[int, str]:
        found = {each.key: each for each in suggest(store, DATA, 44.0, clips_per_second=speed)}
        passes = int(str(found["epochs"].value)) * int(str(found["repeats_per_epoch"].value))
        return passes, found["epochs"].reason

    assert suggested(50.0) == (25, "with the repeats 25 passes, about 43 minutes")
    assert suggested(34.0)[0] == 17
    assert suggested(150.0) == (90, "with the repeats 90 passes, about 44 minutes")
    assert suggested(10.0) == (10, "with the repeats 10 passes, about 86 minutes"), "fewer do not train anything"
    assert suggested(5000.0) == (350, "with the repeats 350 passes, about 4.8 minutes"), "more are of no use"


def test_a_longer_training_is_four_times_as_long_or_has_the_most_passes_that_a_recipe_has() -> None:
    assert longer_training(35, 1, 120.0) == (4, 8.0)
    assert longer_training(35, 4, 120.0) == (10, 5.0)
    assert longer_training(35, 10, 120.0) == (20, 4.0)
    assert longer_training(10, 1, 600.0) == (4, 40.0)


@pytest.mark.parametrize("scale", ["none", "unit"])
def test_clips_are_not_scaled_if_each_axis_is_scaled_afterwards_anyway(
    scale: Literal["none", "unit"], tmp_path: Path
) -> None:
    data = replace(DATA, normalize=NormalizeConfig(scale=scale))
    assert ("data.augment.scale" in settings(store_of(tmp_path / "a", (20, 24)), data)) is (scale == "none")


@pytest.mark.parametrize(("name", "mirrors"), [("wave", True), ("raise left arm", False), ("Left_Wave", False)])
def test_clips_are_mirrored_unless_a_class_has_a_side(name: str, mirrors: bool, tmp_path: Path) -> None:
    data = replace(DATA, classes=[name, "clap"])
    assert ("data.augment.mirror_probability" in settings(store_of(tmp_path / "a", (20, 24)), data)) is mirrors


def test_the_recipe_is_one_that_can_be_trained_and_says_why(tmp_path: Path) -> None:
    found = suggest(store_of(tmp_path / "a", (40, 6)), DATA, 5.0)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text(found, "Suggested.\nEdit it."))
    assert path.read_text().startswith("# Suggested.\n# Edit it.\n")
    assert all(f"# {each.key}: {each.reason}" in path.read_text() for each in found)
    config = resolve(recipe=str(path), dataset="synthetic")
    assert (config.model.name, config.class_sampling) == ("nano_e", "square_root")
    assert config.data.augment.rotation_degrees == [10, 30, 10]


def test_no_clips_are_held_out_of_a_few_long_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path / "a", (20, 24))
    monkeypatch.setattr(suggested_recipe, "recordings_of", lambda clips: np.arange(len(clips)) % 3)
    assert settings(store)["validation"] == "test"
    (reason,) = (each.reason for each in suggest(store, DATA, 1.0) if each.key == "validation")
    assert reason.startswith("there are 3 training recordings, and 10 are needed")


def test_the_learning_rate_of_a_fine_tuning_has_its_own_reason(tmp_path: Path) -> None:
    store = store_of(tmp_path / "a", (20, 24))
    new, tuned = (
        next(each for each in suggest(store, DATA, 5.0, finetunes=finetunes) if each.key == "learning_rate")
        for finetunes in (False, True)
    )
    assert new.value == tuned.value
    assert "fine-tuning" in tuned.reason and "fine-tuning" not in new.reason


def test_a_larger_model_makes_fewer_passes_in_the_same_time(tmp_path: Path) -> None:
    store = store_of(tmp_path / "a", (2000, 2400))
    passes = []
    for model in ("nano_e", "small_e"):
        found = {each.key: each.value for each in suggest(store, DATA, 60.0, model)}
        assert found["model.name"] == model
        passes.append(int(str(found["epochs"])) * int(str(found["repeats_per_epoch"])))
    assert passes[1] < passes[0]
