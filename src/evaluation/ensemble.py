"""Several networks as one: their probabilities are summed, with equal weights or with those found on held-out clips.

Legend: N clips, K classes, E networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..runs.checkpoint import Checkpoint, of_equal_weights, weights_checksum
from ..utils.errors import UserError
from ..utils.names import contrast
from ..utils.numbers import counted
from ..utils.progress import Progress
from .metrics import Predictions
from .scoring import NO_SCORE
from .tested import PLAINLY, Condition, TestedModel

ENSEMBLE, COMPARISON = "An ensemble", "A comparison"  # of networks, in messages
FEWEST_TO_WEIGH = 20  # held-out clips
_STEPS, _SETTLED = 500, 1e-7
_LEAST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Weights:
    """The weights of an ensemble.

    Attributes:
        values: (E,), which sum to one.
        source: how they were found, as the end of a sentence.
    """

    values: NDArray[np.float64]
    source: str


def refuse_strangers(read: Mapping[Path, Checkpoint], what: str = ENSEMBLE) -> None:
    """Refuse networks whose probabilities cannot be summed, or compared, before their data are looked for.

    Args:
        read: their checkpoints by path.
        what: begins the message.

    Raises:
        UserError: classes or layouts differ; the message names the first that does not fit.
    """
    (path, first), *others = read.items()
    for other_path, other in others:
        if other.classes != first.classes:
            raise UserError(
                f"{what} of different classes: {path} has {counted(len(first.classes), 'class')}, and {other_path} has "
                f"{len(other.classes)}{contrast(other.classes, first.classes)}. Give networks that were trained on the "
                "same classes."
            )
        layouts = [each.config.data.skeleton for each in (first, other)]
        if layouts[0] != layouts[1]:
            raise UserError(
                f"{what} of different layouts: {path} has {layouts[0].name}, and {other_path} has {layouts[1].name}. "
                "Give networks that were trained on the same joints."
            )


def refuse_same_weights(read: Mapping[Path, Checkpoint]) -> None:
    """Refuse files of the same epoch, such as a run's last one if it is also the best.

    Raises:
        UserError: the weights of two are equal.
    """
    if equal := of_equal_weights((str(path), weights_checksum(checkpoint)) for path, checkpoint in read.items()):
        raise UserError(f"{equal[1]} has the weights of {equal[0]}: {ENSEMBLE.lower()} needs different networks.")


def refuse_other_clips(members: Sequence[TestedModel], what: str = ENSEMBLE) -> None:
    """Refuse networks that are tested on different clips; `what` begins the message.

    Raises:
        UserError: they are; the message names the first that does not fit.
    """
    for other in members[1:]:
        if problem := _other_clips(members[0], other):
            raise UserError(
                f"{what} that is tested on different clips: {problem}. Its networks belong to the same protocol: "
                "train them with the same --split, or name one with --split."
            )


def _other_clips(first: TestedModel, other: TestedModel) -> str:
    """Return how the tested clips of two networks differ; empty if they are the same, with the same labels."""
    own, others = (_labels(each, each.indices) for each in (first, other))
    if own == others:
        return ""
    if alone := [name for name in own if name not in others] or [name for name in others if name not in own]:
        return (
            f"{other.path} is tested on {counted(len(others), 'clip')}, {first.path} on {len(own)}; {alone[0]} is "
            "tested by one of them alone"
        )
    return f"the labels of {next(name for name in own if own[name] != others[name])} differ"


def _labels(tested: TestedModel, indices: NDArray[np.int64]) -> dict[str, int]:
    clips = tested.store.clips[indices]
    return dict(zip(map(str, clips["name"]), map(int, clips["label"]), strict=True))


def combined(parts: Sequence[Predictions], weights: NDArray[np.float64]) -> Predictions:
    """Return the weighted sum (N, K) of the probabilities of networks for the same clips, in the order of the first.

    A clip that one network cannot use is unusable, and has `NO_SCORE` for every class as with one network.
    """
    first = parts[0]
    rows = [in_order(part, first.names) for part in parts]
    scored = np.all([part.scored[row] for part, row in zip(parts, rows, strict=True)], axis=0)
    total = np.zeros(first.scores.shape, np.float64)
    for part, row, weight in zip(parts, rows, weights, strict=True):
        total += weight * np.where(scored[:, None], part.scores[row], 0.0)
    total[~scored] = NO_SCORE
    return Predictions(first.names, first.labels, total.astype(np.float32), ~scored)


def in_order(part: Predictions, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows of clips by name."""
    rows = {name: number for number, name in enumerate(part.names)}
    return np.array([rows[name] for name in names], np.int64)


def equal_weights(count: int) -> Weights:
    """Return the same weight for each of some networks."""
    return Weights(np.full(count, 1 / count), "equal")


def trained_weights(members: Sequence[TestedModel], shown: Progress, condition: Condition) -> Weights:
    """Return the weights of the highest likelihood of the training clips that all networks held out.

    `condition` is that of the tested clips.

    Raises:
        UserError: a network held out none, or too few are held out by all and not tested.
    """
    if fits_only_tested(members):
        raise UserError(
            "--weights train cannot weigh this ensemble: the training clips that its networks held out are tested, and "
            "weights are never found on tested clips. Use --subset test, or --weights equal."
        )
    held = common_held_out(members)
    clips = [_labels(member, indices) for member, indices in zip(members, held, strict=True)]
    if len(clips[0]) < FEWEST_TO_WEIGH:
        without = [str(member.path) for member in members if not len(member.held_out())]
        reason = (
            f"{without[0]} held out no clips, or its store is not here"
            if without
            else f"its networks held out {counted(len(clips[0]), 'clip')} in common, and {FEWEST_TO_WEIGH} are needed"
        )
        raise UserError(
            f"--weights train cannot weigh this ensemble: {reason}. Train each of its networks with --set "
            "validation=split and the same seed, which holds out the same training clips, or use --weights equal."
        )
    parts = [member.predict(indices, condition, shown) for member, indices in zip(members, held, strict=True)]
    found = likeliest_weights(parts)
    return Weights(found, f"found on {counted(len(clips[0]), 'training clip')} that every network held out")


def common_held_out(members: Sequence[TestedModel]) -> list[NDArray[np.int64]]:
    """Return, for each network, its indices of the clips that all of them held out, in the same order of names.

    Clips that are tested are not among them, since nothing is fitted on these.
    """
    held = [np.setdiff1d(member.held_out(), member.indices) for member in members]
    names = [
        [str(name) for name in member.store.clips["name"][part]] for member, part in zip(members, held, strict=True)
    ]
    shared = set.intersection(*map(set, names))
    return [
        np.array([number for name, number in sorted(zip(own, part.tolist(), strict=True)) if name in shared], np.int64)
        for own, part in zip(names, held, strict=True)
    ]


def fits_only_tested(members: Sequence[TestedModel]) -> bool:
    """Tell whether there are clips that all networks held out, but every one of them is tested."""
    untested = [np.setdiff1d(member.held_out(), member.indices) for member in members]
    return all(len(member.held_out()) for member in members) and not all(map(len, untested))


def likeliest_weights(parts: Sequence[Predictions]) -> NDArray[np.float64]:
    """Return the weights (E,) of the likeliest mixture, by expectation maximisation from equal ones."""
    rows = [in_order(part, parts[0].names) for part in parts]
    likely = np.stack(
        [
            np.take_along_axis(part.scores[row], part.labels[row, None], axis=1)[:, 0]
            for part, row in zip(parts, rows, strict=True)
        ]
    ).astype(np.float64)  # (E, N)
    usable = np.isfinite(likely).all(axis=0)
    likely = np.maximum(likely[:, usable], _LEAST)
    weights = np.full(len(parts), 1 / len(parts))
    for _ in range(_STEPS):
        shares = weights[:, None] * likely
        new = (shares / shares.sum(axis=0)).mean(axis=1) if likely.shape[1] else weights
        if np.abs(new - weights).max() < _SETTLED:
            break
        weights = new
    return weights


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks that are tested as one.

    Attributes:
        members: at least one.
        weights: of their probabilities.
    """

    members: Sequence[TestedModel]
    weights: Weights

    @property
    def first(self) -> TestedModel:
        """Return the network whose run describes the data."""
        return self.members[0]

    @property
    def single(self) -> TestedModel | None:
        """Return the only network; None if there are several."""
        return self.members[0] if len(self.members) == 1 else None

    @property
    def parameters(self) -> int:
        """Return the number of trainable parameters of all networks."""
        return sum(member.parameters for member in self.members)

    def predict(self, shown: Progress, condition: Condition = PLAINLY) -> Predictions:
        """Return the summed probabilities of the clips of the requested part."""
        return self.summed([member.predict(condition=condition, shown=shown) for member in self.members])

    def summed(self, parts: Sequence[Predictions]) -> Predictions:
        """Return the weighted sum of what the networks predict."""
        return parts[0] if len(parts) == 1 else combined(parts, self.weights.values)

    def held_out(self, shown: Progress, condition: Condition) -> Predictions | None:
        """Return what is predicted for the training clips that all networks held out; None if there are none."""
        held = common_held_out(self.members)
        if not len(held[0]):
            return None
        return self.summed(
            [member.predict(part, condition, shown) for member, part in zip(self.members, held, strict=True)]
        )
