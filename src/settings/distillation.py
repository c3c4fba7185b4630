"""The `distillation:` section of a configuration: the teachers, and how a student learns from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from ..utils.errors import UserError
from ..utils.limits import Interval
from ..utils.numbers import counted

METHODS = ("kl", "dkd", "features", "attention")  # in addition to the modules of `distillation.methods`
CHOICES = ("teachers", "peers", "fingerprints")  # keys that decide whether a student learns from others at all
DECIDING = ("method", "alpha", "cached")  # keys that decide whether others of a student that learns have an effect
_OF_PEERS = ("alpha", "alpha_of", "alpha_other", "alpha_end", "tau", "tau_end", "label_smoothing")
_OF_METHODS = {"dkd_target": ("dkd",), "dkd_others": ("dkd",), "feature_weight": ("features", "attention")}


@dataclass
class DistillationConfig:
    """Settings for distillation. `configs/distillation/default.yaml` documents every key.

    Attributes:
        teachers: checkpoints; without any there is no distillation.
        fingerprints: fingerprints of the teachers' weights, in their order; set when a run starts, so that a resumed
            run recognises its teachers.
        alpha_of: the weight of the cross-entropy by the student's name; `alpha`, if set, overrides it.
        alpha_other: that weight for a student that is not in `alpha_of`.
        tau_of_smoothed: the temperature instead of `tau` if a teacher was trained with label smoothing.
        label_smoothing: the student's label smoothing instead of the run's.
        peers: how many further networks of the same model learn with the reported one, and from each other.
        unseen_only: whether each clip is taught only by the teachers that were not trained on it.
    """

    teachers: list[str] = field(default_factory=list)
    weights: list[Annotated[float, Interval(gt=0.0, le=1e6)]] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    method: str = "kl"
    method_settings: dict[str, Any] = field(default_factory=dict)
    alpha: Annotated[float, Interval(ge=0.0, le=1.0)] | None = None
    alpha_of: dict[str, Annotated[float, Interval(ge=0.0, le=1.0)]] = field(default_factory=dict)
    alpha_other: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.5
    alpha_end: Annotated[float, Interval(ge=0.0, le=1.0)] | None = None
    tau: Annotated[float, Interval(ge=0.01, le=1000.0)] = 4.0
    tau_end: Annotated[float, Interval(ge=0.01, le=1000.0)] | None = None
    tau_of_smoothed: Annotated[float, Interval(ge=0.01, le=1000.0)] | None = None
    label_smoothing: Annotated[float, Interval(ge=0.0, le=0.99)] | None = None
    dkd_target: Annotated[float, Interval(ge=0.0, le=1e6)] = 1.0
    dkd_others: Annotated[float, Interval(ge=0.0, le=1e6)] = 8.0
    feature_weight: Annotated[float, Interval(ge=0.0, le=1e6)] = 1.0
    unlabelled: bool = False
    unseen_only: bool = False
    peers: Annotated[int, Interval(ge=0, le=16)] = 0
    fixed_augmentations: Annotated[int, Interval(ge=0, le=10_000)] = 0
    cached: bool = False
    cache: str = ""

    def __post_init__(self) -> None:
        if self.cached and not self.fixed_augmentations:
            raise UserError(
                "distillation.cached needs distillation.fixed_augmentations: the number of augmented views of each "
                "clip whose teacher outputs are stored. The option --cached R sets both."
            )
        if self.unlabelled and self.method == "dkd":
            raise UserError(
                "distillation.unlabelled needs a method without labels: --method kl, features or attention."
            )
        if self.peers and (self.teachers or self.method != "kl"):
            raise UserError(
                f"distillation.peers={self.peers}: networks learn from each other by the method kl, without teachers. "
                "Set distillation.peers=0, or leave --teacher and --method out."
            )
        of_teachers = [name for name in ("unlabelled", "unseen_only", "cached") if getattr(self, name)]
        if self.peers and of_teachers:
            keys = ", ".join(f"distillation.{name}" for name in of_teachers)
            raise UserError(
                f"{keys}: only for teachers, and networks that learn from each other have none. Set "
                f"{', '.join(f'distillation.{name}=false' for name in of_teachers)}, or distillation.peers=0."
            )
        if self.unseen_only and self.method not in METHODS:
            raise UserError(
                f"distillation.unseen_only needs teachers with other weights for each clip, which the method "
                f"{self.method} does not have. Use --method {', '.join(METHODS[:-1])} or {METHODS[-1]}."
            )
        if self.weights and len(self.weights) != len(self.teachers):
            raise UserError(
                f"distillation.weights has {counted(len(self.weights), 'number')} for "
                f"{counted(len(self.teachers), 'teacher')}. Give one for each, or none for equal weights."
            )

    @property
    def learns_from_others(self) -> bool:
        """Tell whether a student learns from teachers or peers."""
        return bool(self.teachers or self.peers)

    def has_effect(self, name: str) -> bool:
        """Tell whether a key changes what is learned, with the teachers, peers and method that there are."""
        if name in CHOICES:
            return True
        if name in ("alpha_of", "alpha_other") and self.alpha is not None:
            return False
        if name == "cache" and not self.cached:
            return False
        if self.teachers:
            return name not in _OF_METHODS or self.method in _OF_METHODS[name]
        return bool(self.peers) and name in _OF_PEERS

    @property
    def unused(self) -> list[str]:
        """Return the keys that are set without effect; that of `alpha_of` cannot be told, since the program sets it."""
        default = DistillationConfig()
        names = (each.name for each in fields(self) if each.name != "alpha_of" and not self.has_effect(each.name))
        return [f"distillation.{name}" for name in names if getattr(self, name) != getattr(default, name)]

    @property
    def circumstances(self) -> str:
        """Return in which circumstances unused keys have no effect, for messages."""
        if self.teachers:
            alpha = "" if self.alpha is None else f" and alpha {self.alpha:g}"
            return f"with the method {self.method}{alpha}{'' if self.cached else ' and no cached outputs'}"
        return "with peers, which are no teachers" if self.peers else "without teachers (`distill --teacher`) or peers"

    def ce_weight(self, student: str, epoch: int, epochs: int) -> float:
        """Return `alpha`: the weight of the cross-entropy in an epoch.

        Raises:
            UserError: there is no alpha for the student, or it is outside 0 to 1.
        """
        start = self.alpha_of.get(student, self.alpha_other) if self.alpha is None else self.alpha
        if start is None or not 0.0 <= start <= 1.0:
            raise UserError(
                f"There is no distillation.alpha between 0 and 1 for the student {student!r} (it is {start}). Give "
                "--alpha, the weight of the cross-entropy."
            )
        return _between(start, self.alpha_end, epoch, epochs)

    def temperature(self, epoch: int, epochs: int, *, smoothed: bool = False) -> float:
        """Return `tau` in an epoch; `smoothed` tells whether a teacher was trained with label smoothing."""
        start = self.tau_of_smoothed if smoothed and self.tau_of_smoothed is not None else self.tau
        return _between(start, self.tau_end, epoch, epochs)


def _between(start: float, end: float | None, epoch: int, epochs: int) -> float:
    """Return the value that changes linearly from `start` in the first epoch to `end` in the last one."""
    if end is None or epochs < 2:
        return start
    return start + (end - start) * epoch / (epochs - 1)


def teachers_in(config: Mapping[str, Any]) -> list[str]:
    """Return the teachers' checkpoints in a plain configuration; none if it is invalid."""
    section = config.get("distillation")
    named = section.get("teachers") if isinstance(section, Mapping) else None
    return [each for each in named if isinstance(each, str)] if isinstance(named, list) else []
