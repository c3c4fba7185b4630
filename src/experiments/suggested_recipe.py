"""Settings suggested for a data set from its size, each with its reason, written as a recipe."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.store.protocols import hold_out, split
from ..data.store.reader import Store
from ..data.store.recordings import recordings_of
from ..settings.data import DataConfig
from ..settings.run import RunConfig
from ..utils.dotted_keys import set_nested
from ..utils.numbers import counted
from ..utils.yaml_text import yaml_of

_STUDENT = "nano_e"
# Clips of 32 frames, 20 joints and one body that `nano_e` trains on in a second, on one core: 350 passes over the 1,020
# training clips of NW-UCLA take 17 to 19 minutes. It is used where the speed of the machine was not measured.
_CLIPS_PER_SECOND = 300.0
_FRAMES, _JOINTS = 32, 20
_MOST_PASSES, _FEWEST_PASSES = 350, 10  # of NW-UCLA's recipe; fewer do not train anything
_EPOCHS = 35
_LONGER = 4  # times the passes
_TEST_WORK = 1 / 3  # of a clip that is tested, as a share of one that is trained on
_MOST_MEASURED = 2048  # training clips from which the statistics of BatchNorm are measured before a test
_BATCH, _LARGE_BATCH, _MANY_CLIPS = 16, 64, 8000
_LEARNING_RATE, _LARGE_LEARNING_RATE = 0.1, 0.4
_IMBALANCE = 3
_FEWEST_HELD_OUT = 10  # training clips a class, and recordings, of which one can be held out
_SIDES = re.compile(r"(^|[^a-z])(left|right)([^a-z]|$)")


@dataclass(frozen=True)
class Suggestion:
    """A setting with its reason."""

    key: str
    value: object
    reason: str


def suggest(
    store: Store,
    data: DataConfig,
    minutes: float,
    model: str = _STUDENT,
    clips_per_second: float | None = None,
    *,
    finetunes: bool = False,
    seed: int = RunConfig.seed,
) -> list[Suggestion]:
    """Return the settings for a first training of a small student on a data set.

    Args:
        store: the prepared data set.
        data: its description, with the protocol to train.
        minutes: how long the training may take.
        model: the name of the model.
        clips_per_second: how many clips such a training processes in a second on this machine; estimated for one core
            if None.
        finetunes: whether it starts from the weights of another run.
        seed: of the run.
    """
    parts = split(store.clips, data)
    validation = _validation(store, parts.train, data.classes)
    trained = parts.train
    if validation.value == "split":
        trained, _ = hold_out(store.clips, parts.train, RunConfig.validation_fraction, seed)
    clips = store.clips[trained]
    middle = float(np.median(clips["frames"]))
    frames = 32 if middle < 48 else 64
    speed = clips_per_second or _speed(store, frames, model)
    tested = len(parts.test) + len(parts.train) - len(clips)
    tests = _TEST_WORK * (tested + min(len(clips), _MOST_MEASURED))  # an epoch, in clips that are trained on
    passes = _passes(60 * minutes * speed, len(clips), tests)
    repeats = max(1, round(passes / _EPOCHS))
    epochs = round(passes / repeats)
    takes = epochs * (repeats * len(clips) + tests) / speed / 60
    takes = float(f"{takes:.2g}" if takes >= 2 else f"{takes:.1g}")
    batch, rate = (_BATCH, _LEARNING_RATE) if len(clips) < _MANY_CLIPS else (_LARGE_BATCH, _LARGE_LEARNING_RATE)
    found = [
        Suggestion("model.name", model, _why(model)),
        Suggestion("input_frames", frames, f"the median clip has {middle:g} frames"),
        Suggestion("epochs", epochs, f"with the repeats {epochs * repeats} passes, about {counted(takes, 'minute')}"),
        Suggestion("repeats_per_epoch", repeats, _why_repeats(len(clips), len(parts.train) - len(clips))),
        Suggestion("warmup_epochs", max(1, epochs // 7), "the same share as in the default recipe of 70 epochs"),
        Suggestion("batch_size", batch, "on NW-UCLA, no size from 16 to 64 was better than another"),
        Suggestion("learning_rate", rate, _why_rate(finetunes)),
        Suggestion("warmup_learning_rate", 0.01, "as in the recipe of NW-UCLA"),
        validation,
    ]
    return [*found, *_balance(np.bincount(clips["label"])), *_augmentation(store, data)]


def _validation(store: Store, train: NDArray[np.int64], classes: Sequence[str]) -> Suggestion:
    """Return whether training clips are held out to choose the best epoch: if there are enough of them."""
    clips = store.clips[train]
    counts = np.bincount(clips["label"], minlength=len(classes))
    recordings = len(np.unique(recordings_of(clips)))  # a whole one is held out
    last = f"and {_FEWEST_HELD_OUT} are needed to hold one out: the last epoch is used"
    if counts.min() < _FEWEST_HELD_OUT:
        few = f"{classes[int(counts.argmin())]} has {counted(int(counts.min()), 'training clip')}"
        return Suggestion("validation", "test", f"{few}, {last}")
    if recordings < _FEWEST_HELD_OUT:
        return Suggestion("validation", "test", f"there are {counted(recordings, 'training recording')}, {last}")
    return Suggestion("validation", "split", "held-out training clips choose the best epoch")


def _why_repeats(trained: int, held_out: int) -> str:
    besides = f"; {held_out:,} more are held out" if held_out else ""
    return f"how often each of the {trained:,} training clips appears in an epoch{besides}"


def _balance(counts: NDArray[np.int64]) -> list[Suggestion]:
    """Return how often clips of small classes are drawn, if classes differ much in size."""
    present = counts[counts > 0]
    if not len(present) or present.max() < _IMBALANCE * present.min():
        return []
    ratio = present.max() / present.min()
    reason = f"the largest class has {ratio:.3g} times as many clips as the smallest"
    return [Suggestion("class_sampling", "square_root", reason)]


def _why_rate(finetunes: bool) -> str:
    proportional = "proportional to the batch size: 0.1 for 16 clips"
    if finetunes:
        return f"{proportional}, as from random weights: on NW-UCLA, fine-tuning at a lower rate was less accurate"
    return proportional


def _passes(budget: float, clips: int, tests: float) -> int:
    """Return the passes over the training clips for a budget of clips to train on; an epoch has tests of some too."""
    passes = budget / max(clips + tests, 1)
    if passes > _EPOCHS:
        passes = (budget - _EPOCHS * tests) / max(clips, 1)
    return int(np.clip(passes, _FEWEST_PASSES, _MOST_PASSES))


def longer_training(epochs: int, repeats: int, seconds: float) -> tuple[int, float]:
    """Return the repeats of a training that is longer than one of these epochs and repeats, and about its minutes.

    It is four times as long, but has no more passes than the recipe with the most, or twice as many as before.

    Args:
        epochs, repeats: of the training.
        seconds: how long it took.
    """
    longer = min(_LONGER * repeats, max(2 * repeats, round(_MOST_PASSES / epochs)))
    return longer, seconds / 60 * longer / repeats


def _speed(store: Store, frames: int, model: str) -> float:
    """Return about how many clips are trained on in a second on one core."""
    bodies = float(store.clips["bodies"].mean())
    work = _times_the_work(model, frames)
    return _CLIPS_PER_SECOND / work * _JOINTS / store.skeleton.num_joints / bodies


def _times_the_work(model: str, frames: int) -> float:
    """Return how many times the multiply-adds a model has with a number of frames that `nano_e` has with 32."""
    if (model, frames) == (_STUDENT, _FRAMES):
        return 1.0
    from ..models.cost import Workload, count_multiply_adds, random_streams
    from ..models.registry import create_model

    work: list[int] = []
    for name, length in ((model, frames), (_STUDENT, _FRAMES)):
        built = create_model(name).eval()
        work.append(count_multiply_adds(built, random_streams(Workload(frames=length), names=built.streams)))
    return work[0] / work[1]


def _why(model: str) -> str:
    return "the smallest student, which trains on a CPU" if model == _STUDENT else "chosen with --model"


def _augmentation(store: Store, data: DataConfig) -> list[Suggestion]:
    found = []
    if data.normalize.scale == "none":  # otherwise each axis of a clip is scaled to -1..1 afterwards
        found.append(Suggestion("data.augment.scale", 0.2, "people differ in size"))
    if not store.skeleton.flat:
        found.append(
            Suggestion(
                "data.augment.rotation_degrees",
                [10, 30, 10],
                "cameras differ mostly by a turn about the vertical",
            )
        )
    sided = [name for name in data.classes if _SIDES.search(name.lower().replace("_", " "))]
    if store.skeleton.mirror and not sided:
        found.append(Suggestion("data.augment.mirror_probability", 0.5, "no class name contains left or right"))
    return found


def recipe_text(suggestions: Sequence[Suggestion], head: str) -> str:
    """Return a recipe, with `head` and the reason of each key as comments."""
    tree: dict[str, Any] = {}
    for each in suggestions:
        set_nested(tree, each.key.split("."), each.value)
    reasons = [f"# {each.key}: {each.reason}" for each in suggestions]
    return "\n".join([*(f"# {line}".rstrip() for line in head.splitlines()), "#", *reasons, yaml_of(tree)])
