"""What is evaluated, how it is tested, and what is written beside the metrics."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..data.loading.views import View


@dataclass(frozen=True)
class TestTime:
    """Averages of one network over several looks at each clip, which are reported beside the plain figures.

    Attributes:
        crops: how often each clip is sampled; 0 as in the plain test. See `sampling.evaluation_positions`.
        turns: degrees about the vertical by which clips are also turned.
        mirror: whether each of these looks is also mirrored.
    """

    __test__ = False  # not a test class, despite its name

    crops: int = 0
    turns: Sequence[float] = ()
    mirror: bool = False

    @property
    def views(self) -> list[View]:
        """Return the views of each sampling, the plain one first."""
        turns = dict.fromkeys([0.0, *self.turns])
        return [View(turn, mirrored) for mirrored in (False, True)[: 1 + self.mirror] for turn in turns]

    @property
    def averages(self) -> bool:
        """Tell whether there is anything to average beside the plain test."""
        return self.crops > 1 or len(self.views) > 1

    @property
    def title(self) -> str:
        """Return what is averaged, such as `3 crops, turned by -15 and 15 degrees, mirrored`."""
        turns = [f"{turn:g}" for turn in dict.fromkeys(self.turns) if turn]
        parts = [f"{self.crops} crops"] if self.crops > 1 else []
        parts += [f"turned by {' and '.join(turns)} degrees"] if turns else []
        parts += ["mirrored"] if self.mirror else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Further:
    """What is measured and written beside the metrics.

    Attributes:
        details: intervals, the confusions that cost most, calibration, streams, best and last epoch, cost.
        robustness: accuracy under missing joints, noise, another camera and the like.
        report: the HTML page to write, with the details; None for none. A relative path is that of the caller.
        command: what was typed, for the page; empty if unknown.
    """

    details: bool = False
    robustness: bool = False
    report: Path | None = None
    command: str = ""


@dataclass(frozen=True)
class EvalRequest:
    """Settings of an evaluation; empty fields are taken from the checkpoint's run.

    Attributes:
        checkpoint: the file.
        subset: the part of the protocol: train, val (the clips that `validation: split` held out) or test.
        dataset, split: another data set of the same classes, another protocol or the path of a split's text file.
        data_root: the folder of prepared data sets; if empty, the run's folder, then the folders of this machine's
            environment.
        environment: its name; detected if empty.
        device: the device to compute on.
        no_ema: evaluate the trained weights even if the run has averaged ones.
        statistics: BatchNorm statistics to test with: `running` those of training, `measured` over training clips,
            `unaugmented` the same over clips that are cropped, and not turned, scaled or mixed,
            `auto` those that training tested with, measured if the checkpoint lacks them.
        pictures: also draw the report's pictures, if matplotlib is installed.
        metrics: names of metrics in addition to those of the run.
        drop_joints, drop_limbs: the probability with which a joint, or a limb, of a body is missing in the whole clip.
        drop_frames: the probability with which a body is not seen in a frame.
        shortest_event: seconds (frames if the rate is unknown); in long recordings, shorter runs of predicted frames
            become part of the longer one beside them.
        members: further checkpoints, whose probabilities are summed with those of the first.
        compare: a checkpoint that is tested on the same clips, to be compared; None for none.
        weights: of an ensemble: `equal`, or `train` for those found on held-out training clips.
        test_time: averages of each network that are reported beside the plain figures.
        further: what is measured and written beside the metrics.
    """

    checkpoint: Path
    subset: str = "test"
    dataset: str = ""
    split: str = ""
    data_root: str = ""
    environment: str = ""
    device: str = "auto"
    no_ema: bool = False
    statistics: str = "auto"
    pictures: bool = True
    metrics: Sequence[str] = ()
    drop_joints: float = 0.0
    drop_limbs: float = 0.0
    drop_frames: float = 0.0
    shortest_event: float = 0.0
    members: Sequence[Path] = ()
    compare: Path | None = None
    weights: str = "equal"
    test_time: TestTime = field(default_factory=TestTime)
    further: Further = field(default_factory=Further)

    @property
    def checkpoints(self) -> list[Path]:
        """Return the files of all networks."""
        return [self.checkpoint, *self.members]

    @property
    def dropped(self) -> dict[str, float]:
        """Return what is dropped, by name."""
        shares = {name: getattr(self, f"drop_{name}") for name in ("joints", "limbs", "frames")}
        return {name: share for name, share in shares.items() if share}
