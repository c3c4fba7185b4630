"""Accuracy of a trained model on clips that are disturbed more and more.

The levels are fixed, so that curves of different models can be compared, and the same joints are disturbed in every
evaluation. Neither weights nor BatchNorm statistics change: the clips alone are as they may be outside of a laboratory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..skeleton.limbs import limbs
from ..utils.progress import Progress
from .details import correct_clips, share_of
from .ensemble import Ensemble
from .findings import Point, RobustnessCurve
from .metrics import Predictions
from .tested import Condition


@dataclass(frozen=True)
class _Disturbed:
    """One kind of disturbance: its name, the unit and the meaning of its levels, and the condition of each."""

    name: str
    unit: str
    meaning: str
    levels: Sequence[float]
    condition: Callable[[float], Condition]
    label: Callable[[float], str]


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


KINDS = (
    _Disturbed(
        "missing joints",
        "share of the joints",
        "Each joint of a body is missing in the whole clip with this probability.",
        (0.1, 0.2, 0.3, 0.5),
        lambda level: Condition(joints=level),
        _percent,
    ),
    _Disturbed(
        "hidden limbs",
        "share of the limbs",
        "Each arm and leg of a body is hidden in the whole clip with this probability.",
        (0.1, 0.25, 0.5, 0.75),
        lambda level: Condition(limbs=level),
        _percent,
    ),
    _Disturbed(
        "dropped frames",
        "share of the frames",
        "A body is not seen in a sampled frame with this probability, and nothing is put in its place.",
        (0.1, 0.25, 0.5, 0.75),
        lambda level: Condition(frames=level),
        _percent,
    ),
    _Disturbed(
        "jitter",
        "of the size of a body",
        "Each coordinate gets normal noise, whose deviation is this share of the joints' distance from the middle of "
        "the body (root mean square, about half a metre for an adult).",
        (0.01, 0.02, 0.05, 0.1),
        lambda level: Condition(jitter=level),
        _percent,
    ),
    _Disturbed(
        "turned camera",
        "degrees",
        "The camera is moved around the people by this angle, to the left or to the right.",
        (15.0, 30.0, 45.0, 60.0, 90.0),
        lambda level: Condition(turn=level),
        lambda level: f"{level:g}°",
    ),
    _Disturbed(
        "lower frame rate",
        "of the frame rate",
        "Only every second, third, fourth or eighth frame was recorded.",
        (2.0, 3.0, 4.0, 8.0),
        lambda level: Condition(step=int(level)),
        lambda level: f"1/{level:g}",
    ),
)


def measure_robustness(ensemble: Ensemble, predictions: Predictions, progress: Progress) -> list[RobustnessCurve]:
    """Return a curve for each kind of disturbance, beginning with the undisturbed `predictions`.

    A kind that these clips cannot have, such as another camera for clips of two coordinates, has the reason instead.
    """
    undisturbed = share_of(correct_clips(predictions))
    problems = {kind.name: _problem(kind, ensemble) for kind in KINDS}
    passes = sum(len(kind.levels) for kind in KINDS if not problems[kind.name])
    total = passes * sum(len(member.indices) for member in ensemble.members)
    with progress.task("testing robustness", total) as shown:
        return [_curve(kind, problems[kind.name], ensemble, Point(0.0, "none", undisturbed), shown) for kind in KINDS]


def _problem(kind: _Disturbed, ensemble: Ensemble) -> str:
    layout = ensemble.first.config.data.skeleton
    if kind.name == "turned camera" and layout.flat:
        return "the clips have two coordinates, so no other camera can be computed"
    if kind.name == "hidden limbs" and not limbs(layout):
        return f"the layout {layout.name} has no limbs"
    return ""


def _curve(kind: _Disturbed, problem: str, ensemble: Ensemble, start: Point, shown: Progress) -> RobustnessCurve:
    if problem:
        return RobustnessCurve(kind.name, kind.unit, kind.meaning, (), f"not available: {problem}")
    points = [start]
    for level in kind.levels:
        found = ensemble.predict(shown, kind.condition(level))
        points.append(Point(level, kind.label(level), share_of(correct_clips(found))))
    return RobustnessCurve(kind.name, kind.unit, kind.meaning, points)
