"""What an inspection finds: facts about a data set, findings with their clips and remedies, and a learning curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters: it would spoil training, may harm training, or is only a fact to know."""

    SPOILS = "spoils"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Evidence:
    """A clip that shows a finding.

    Attributes:
        clip: its number among the inspected clips.
        detail: what was measured in it, such as `frames 31 to 47 do not move`; may be empty.
        frames: the first and the last frame that show it, both included; None if the whole clip does.
        joints: the joints that show it; empty if no single joint does.
        other: the number of another clip that belongs to it, such as the original of a copy; None if there is none.
    """

    clip: int
    detail: str = ""
    frames: tuple[int, int] | None = None
    joints: tuple[int, ...] = ()
    other: int | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or remarkable.

    Attributes:
        kind: its name, the same in every inspection, such as `frozen` or `copies`.
        severity: how much it matters.
        title: a few words, such as `Clips that do not move`.
        message: a sentence with the figures.
        remedy: a sentence that says what to do, with the command or key where there is one.
        evidence: clips that show it, the clearest first; empty for a finding about the whole set.
        clips: how many clips it affects; may be more than the evidence.
        unusable: whether each of them teaches nothing, or something false, however few they are.
    """

    kind: str
    severity: Severity
    title: str
    message: str
    remedy: str
    evidence: Sequence[Evidence] = ()
    clips: int = 0
    unusable: bool = False


@dataclass(frozen=True)
class CurvePoint:
    """The accuracy that a student reached with a part of the training clips.

    Attributes:
        share: of the training clips, from 0 to 1.
        clips: their number.
        accuracies: top-1 on held-out clips from 0 to 1, one for each repetition.
    """

    share: float
    clips: int
    accuracies: Sequence[float]

    @property
    def mean(self) -> float:
        """Return the mean accuracy."""
        return sum(self.accuracies) / len(self.accuracies)


@dataclass(frozen=True)
class LearningCurve:
    """What more clips would bring: accuracies measured with fewer clips, and a forecast.

    Attributes:
        points: the measured ones, ascending.
        forecast: for numbers of clips beyond those measured, the lowest, likely and highest accuracy.
        advice: sentences for a reader: is there enough, and what would twice as many bring.
    """

    points: Sequence[CurvePoint]
    forecast: Mapping[int, tuple[float, float, float]]
    advice: str


@dataclass(frozen=True)
class Distribution:
    """Values of a set in five numbers."""

    lowest: float
    quarter: float
    median: float
    three_quarters: float
    highest: float


@dataclass(frozen=True)
class Contents:
    """What a data set holds.

    Attributes:
        clips: their number.
        classes, subjects, cameras, setups: the number of clips of each; a name for a class, a number for the others.
        parts: for each protocol that can be used, the number of clips of each part.
        frames, seconds: lengths of the clips; seconds are None if frame rates are unknown.
        frame_rates: the number of clips of each, 0 for unknown.
        bodies: the number of clips with that many bodies.
        size: height of the bodies in the unit of the coordinates; None if there is none.
        missing: the share of missing joints from 0 to 1.
    """

    clips: int
    classes: Mapping[str, int]
    subjects: Mapping[int, int]
    cameras: Mapping[int, int]
    setups: Mapping[int, int]
    parts: Mapping[str, Mapping[str, int]]
    frames: Distribution
    seconds: Distribution | None
    frame_rates: Mapping[float, int]
    bodies: Mapping[int, int]
    size: Distribution | None
    missing: float


@dataclass(frozen=True)
class Inspection:
    """The result of an inspection.

    Attributes:
        name: of the data set.
        where: a sentence part about where the clips are.
        contents: what they are.
        findings: those that would spoil training first.
        checked: the kinds of faults that were looked for, with what was not possible and why, empty if it was.
        curve: what more clips would bring; None if it was not measured.
        no_curve: why it was not measured, a part of a sentence; empty if it was.
    """

    name: str
    where: str
    contents: Contents
    findings: Sequence[Finding]
    checked: Mapping[str, str] = field(default_factory=dict)
    curve: LearningCurve | None = None
    no_curve: str = ""

    @property
    def spoils(self) -> bool:
        """Tell whether something was found that would spoil training."""
        return any(each.severity is Severity.SPOILS for each in self.findings)
