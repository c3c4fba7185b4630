"""What an evaluation finds beside its metrics, as plain values; no torch.

A figure that cannot be computed is None, with the reason beside it: never 0 and never NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..utils.numbers import counted
from .metrics import Metrics


@dataclass(frozen=True)
class Estimate:
    """A figure in percent with its bootstrap interval over clips."""

    value: float
    low: float
    high: float

    @property
    def has_interval(self) -> bool:
        """Return whether the interval says anything; where all clips are alike, the bootstrap cannot judge by them."""
        return self.low < self.high

    def text(self, sign: str = "") -> str:
        """Return it as text, such as `83.41 (79.9 to 86.9)`, or `100.00 (no interval)` where all clips are alike."""
        interval = f"{self.low:{sign}.1f} to {self.high:{sign}.1f}" if self.has_interval else "no interval"
        return f"{self.value:{sign}.2f} ({interval})"


@dataclass(frozen=True)
class ClassEstimate:
    """The accuracy of one class; None if no clip of it was tested.

    Attributes:
        index: of the class.
        accuracy: with its interval.
        problem: why there is none, or what it cannot be trusted for.
    """

    index: int
    accuracy: Estimate | None
    problem: str = ""


@dataclass(frozen=True)
class Confused:
    """A class that is taken for another.

    Attributes:
        true, predicted: the classes.
        count: of such clips.
        share: of the clips of the true class, in percent.
        cost: what they cost, in percentage points of top-1.
        back: how many clips of the other class are taken for this one.
    """

    true: int
    predicted: int
    count: int
    share: float
    cost: float
    back: int


@dataclass(frozen=True)
class Bin:
    """Clips whose highest probability lies between two limits.

    Attributes:
        low, high: the limits; the higher one belongs to it.
        clips: how many.
        confidence, accuracy: the mean of their highest probabilities and the share of correct ones; None without clips.
    """

    low: float
    high: float
    clips: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Reliability:
    """Whether probabilities mean what they say.

    Attributes:
        bins: of equal width.
        error: the expected calibration error, from 0 to 1; None if it cannot be computed.
        temperature: that of the lowest loss on held-out training clips; None without such clips.
        source: what it was fitted on, or why it was not.
        error_with_temperature: the calibration error of the tested clips with it.
        bins_with_temperature: likewise.
        problem: why there is no error.
    """

    bins: Sequence[Bin]
    error: float | None
    temperature: float | None = None
    source: str = ""
    error_with_temperature: float | None = None
    bins_with_temperature: Sequence[Bin] = ()
    problem: str = ""


@dataclass(frozen=True)
class StreamResult:
    """What one input stream is worth to the trained network: top-1 without it, and with it alone, in percent."""

    name: str
    without: Estimate
    alone: Estimate


@dataclass(frozen=True)
class EpochResult:
    """A checkpoint of the run on the same clips.

    Attributes:
        title: what it is, such as `last epoch`, and how it was chosen.
        epoch: counted from 0.
        top1: with its interval.
        evaluated: whether it is the checkpoint of this evaluation.
    """

    title: str
    epoch: int
    top1: Estimate
    evaluated: bool


@dataclass(frozen=True)
class Cost:
    """The cost of one clip; None where it was not counted.

    Attributes:
        parameters: trainable ones of all networks.
        multiply_adds: of one clip with one body.
        input: that clip, in words.
        file_bytes: of the checkpoint files.
        networks: how many.
    """

    parameters: int
    multiply_adds: int | None
    input: str
    file_bytes: int
    networks: int = 1


@dataclass(frozen=True)
class Details:
    """What `--details` measures; the reason is given for what could not be.

    Attributes:
        level, draws: of all intervals.
        top1, mean_class_accuracy: with their intervals.
        classes: in the order of the classes.
        confusions: those that cost most, first.
        wrong: the number of clips that were taken for another class.
        reliability: of the probabilities.
        streams: one for each stream; empty with `no_streams`.
        no_streams: why there are none.
        epochs: best and last; empty with `no_epochs`.
        epochs_difference: the best one minus the last, in points of top-1; None if they are the same.
        no_epochs: why there are none.
        cost: of a clip.
        notes: sentences about what cannot be trusted.
    """

    level: float
    draws: int
    top1: Estimate
    mean_class_accuracy: Estimate
    classes: Sequence[ClassEstimate]
    confusions: Sequence[Confused]
    wrong: int
    reliability: Reliability
    streams: Sequence[StreamResult]
    no_streams: str
    epochs: Sequence[EpochResult]
    epochs_difference: Estimate | None
    no_epochs: str
    cost: Cost
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Point:
    """Top-1 at one level of a disturbance, in percent, with its interval."""

    level: float
    label: str
    top1: Estimate


@dataclass(frozen=True)
class RobustnessCurve:
    """Top-1 under one disturbance at rising levels.

    Attributes:
        name: such as `missing joints`.
        unit: what the levels are.
        meaning: a sentence about what was done to the clips.
        points: the undisturbed clips first; empty with `problem`.
        problem: why it could not be measured.
    """

    name: str
    unit: str
    meaning: str
    points: Sequence[Point]
    problem: str = ""


@dataclass(frozen=True)
class MemberResult:
    """One network of an ensemble: its file, its model, its weight, its parameters and its own top-1 in percent."""

    path: str
    model: str
    weight: float
    parameters: int
    top1: float


@dataclass(frozen=True)
class EnsembleResult:
    """Networks that were tested as one.

    Attributes:
        members: each of them.
        source: where the weights are from.
        wrong_in_any, wrong_in_most, wrong_in_all: how many clips at least one network takes for another class, more
            than half of them, and all. Their sum can be right where all are wrong, if they are wrong in different ways.
    """

    members: Sequence[MemberResult]
    source: str
    wrong_in_any: int
    wrong_in_most: int
    wrong_in_all: int

    @property
    def parameters(self) -> int:
        """Return the number of parameters of all networks."""
        return sum(member.parameters for member in self.members)

    @property
    def agreement(self) -> str:
        """Return a sentence about how far the networks are wrong on the same clips."""
        most = f"in most networks: {self.wrong_in_most:,}; " if len(self.members) > 2 else ""  # else most are all
        any_one = counted(self.wrong_in_any, "clip")
        return f"Wrong in at least one network: {any_one}; {most}in all: {self.wrong_in_all:,}."


@dataclass(frozen=True)
class TestTimeResult:
    """The same clips with an average over several looks at each.

    Attributes:
        title: what was averaged.
        looks: how many forward passes a clip took in each network.
        metrics: of the averaged probabilities.
        gain: what top-1 gained over the plain test, in percentage points, with its interval.
    """

    __test__ = False  # not a test class, despite its name

    title: str
    looks: int
    metrics: Metrics
    gain: Estimate


@dataclass(frozen=True)
class ComparisonResult:
    """Another network on the same clips.

    Attributes:
        path, model: its file and its model.
        top1: its own.
        gain: what the evaluated network is above it, in percentage points of top-1, with its interval.
        only_this, only_other: the clips that one of them alone recognises.
        p: of McNemar's exact test, two-sided.
    """

    path: str
    model: str
    top1: Estimate
    gain: Estimate
    only_this: int
    only_other: int
    p: float


@dataclass(frozen=True)
class WithoutCopies:
    """The tested clips that are no copies of training clips, where some are; see `find_copies`.

    Attributes:
        clips: how many they are.
        copies: how many of the tested clips are copies.
        top1: of the former, in percent, with its interval; None if there are none.
    """

    clips: int
    copies: int
    top1: Estimate | None

    @property
    def title(self) -> str:
        """Return what `top1` is of."""
        copies = "the clip that is a copy" if self.copies == 1 else f"the {self.copies:,} clips that are copies"
        return f"top-1 without {copies} of training clips"


@dataclass(frozen=True)
class Extras:
    """All that was measured beside the metrics; None for what was not asked for, or is not there."""

    ensemble: EnsembleResult | None = None
    test_time: TestTimeResult | None = None
    comparison: ComparisonResult | None = None
    details: Details | None = None
    robustness: Sequence[RobustnessCurve] = field(default=())
    without_copies: WithoutCopies | None = None
