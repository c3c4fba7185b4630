"""Check which protocols of a store can be trained, and explain the others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...settings.data import DataConfig
from ...settings.splits import PROPERTIES
from ...utils.names import first_few
from ...utils.numbers import counted
from .protocols import Split, divide, divided_recording, empty_part, known_protocols, select

_SHOWN = 5


@dataclass(frozen=True)
class Suitability:
    """Suitability of one protocol for training.

    Attributes:
        protocol: its name.
        parts: the training and test clips.
        problem: why it cannot be trained; empty if it can.
        warnings: sentences that a training warns with; of one that is refused, only that about clips in no part.
        left_out: number of clips that are unintentionally in neither part.
    """

    protocol: str
    parts: Split
    problem: str
    warnings: tuple[str, ...]
    left_out: int


def suitability(clips: NDArray[np.void], config: DataConfig) -> list[Suitability]:
    """Check each protocol of an index, in order."""
    return [_of_protocol(clips, config, name) for name in known_protocols(clips, config)]


def split_warnings(clips: NDArray[np.void], config: DataConfig, name: str, parts: Split) -> list[str]:
    """Return sentences about clips that are in no part, a single class, untrained classes, and subjects in both parts.

    Subjects are compared if the protocol divides single clips; one that divides by camera, for example, has every
    subject in both parts on purpose.
    """
    found = _left_out_warning(clips, config, name, parts)
    labels = np.unique(clips["label"][parts.train])
    if config.classes and len(labels) == 1:
        found.append(
            f"All {counted(len(parts.train), 'training clip')} of {name} are of one class "
            f"({config.classes[labels[0]]}), so there is nothing to tell apart, and the accuracy says nothing."
        )
    missing = np.setdiff1d(np.arange(len(config.classes)), labels)
    if len(missing):
        names = first_few([config.classes[label] for label in missing], _SHOWN)
        them = "it" if len(missing) == 1 else "them"
        number = int(np.isin(clips["label"][parts.test], missing).sum())
        consequence = f"; the accuracy of {counted(number, 'test clip')} of {them} says nothing" if number else ""
        found.append(
            f"{len(missing)} of {counted(len(config.classes), 'class')} of {name} "
            f"{'has' if len(missing) == 1 else 'have'} no training clip ({names}){consequence}."
        )
    rule = config.protocols.get(name)
    if rule is None or rule.by not in PROPERTIES:
        trained, tested = (clips["subject"][part] for part in (parts.train, parts.test))
        both, known = np.intersect1d(trained, tested), np.union1d(trained, tested)
        both, known = both[both != 0], known[known != 0]
        if len(both):
            found.append(
                f"{len(both):,} of {counted(len(known), 'subject')} of {name} are in both parts, so the test does not "
                "measure how well a new person is recognised. To divide by subject: --split_by subject --folds 5"
            )
    return found


def _left_out(clips: NDArray[np.void], config: DataConfig, name: str, parts: Split) -> tuple[int, str]:
    """Return the number of clips that are unintentionally in neither part, and why they are, as `are in none ...`."""
    rule = config.protocols.get(name)
    number = len(select(clips, config)) - len(parts.train) - len(parts.test)
    if rule is None or rule.by == "list":
        return number, "are in none of its lists"
    if rule.train and rule.test:
        return 0, ""  # values in neither list are intentionally unused
    return number, f"have no known {rule.by} and are in neither part"


def _left_out_warning(clips: NDArray[np.void], config: DataConfig, name: str, parts: Split) -> list[str]:
    left_out, why = _left_out(clips, config, name, parts)
    return [f"{left_out:,} of {len(select(clips, config)):,} clips of {name} {why}."] if left_out else []


def _of_protocol(clips: NDArray[np.void], config: DataConfig, name: str) -> Suitability:
    parts = divide(clips, config, name)
    problem = empty_part(clips, config, name, parts) or divided_recording(clips, config, name, parts)
    warnings = (_left_out_warning if problem else split_warnings)(clips, config, name, parts)
    return Suitability(name, parts, problem, tuple(warnings), _left_out(clips, config, name, parts)[0])
