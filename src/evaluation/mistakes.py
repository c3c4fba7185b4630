"""The mistakes of which a model was surest, for the player of a page.

Legend: N clips.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..plots.player import PlayedClip
from ..utils.foreign_text import printable
from .metrics import Predictions

_MOST, _MOST_OF_A_PAIR, _EXAMPLES = 12, 2, 3
_LONGEST_NAME = 60  # of a class
_BEGINNING = 48  # of a name that is longer

ClipOf = Callable[[int], PlayedClip]


@dataclass(frozen=True)
class Mistake:
    """A wrong clip, and a recognised one of the class that it was taken for, if there is one, by their numbers."""

    clip: int
    true: int
    predicted: int
    probability: float
    other: int | None


def worst_mistakes(predictions: Predictions) -> list[Mistake]:
    """Return the wrong clips of which the model was surest, at most a few of each pair of classes.

    Beside each is a recognised clip of the class that it was taken for, one of those that the model was surest of.
    """
    scores = np.where(predictions.scored[:, None], predictions.scores, 0.0)
    predicted, highest = scores.argmax(axis=1), scores.max(axis=1)
    right = (predicted == predictions.labels) & predictions.scored
    wrong = np.flatnonzero(~right & predictions.scored)
    found: list[Mistake] = []
    pairs: dict[tuple[int, int], int] = {}
    used: dict[int, int] = {}
    for clip in wrong[np.argsort(-highest[wrong], kind="stable")].tolist():
        pair = int(predictions.labels[clip]), int(predicted[clip])
        if pairs.get(pair, 0) >= _MOST_OF_A_PAIR:
            continue
        pairs[pair] = pairs.get(pair, 0) + 1
        examples = np.flatnonzero(right & (predicted == pair[1]))
        examples = examples[np.argsort(-highest[examples], kind="stable")][:_EXAMPLES]
        other = int(examples[used.get(pair[1], 0) % len(examples)]) if len(examples) else None
        used[pair[1]] = used.get(pair[1], 0) + 1
        found.append(Mistake(clip, *pair, float(highest[clip]), other))
        if len(found) == _MOST:
            break
    return found


def played(mistake: Mistake, class_names: Sequence[str], clip_of: ClipOf) -> PlayedClip:
    """Return a mistake for the player, beside a recognised clip."""
    clip = clip_of(mistake.clip)
    true, taken = (cut(class_names[index]) for index in (mistake.true, mistake.predicted))
    said = f"{true}, taken for {taken} with {100 * mistake.probability:.0f} %"
    own = replace(clip.versions[0], title=said)
    if mistake.other is None:
        return replace(clip, versions=[own], caption=f"{said}; no clip of {taken} was recognised")
    other = clip_of(mistake.other)
    beside = replace(other.versions[0], title=f"{taken}, recognised: {other.name}")
    return replace(clip, versions=[own, beside], caption=said)


def cut(name: str) -> str:
    """Return the name of a class without its middle if it is long."""
    shown = printable(name)
    rest = _LONGEST_NAME - _BEGINNING - 1
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:_BEGINNING]}…{shown[-rest:]}"
