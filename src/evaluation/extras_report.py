"""The files of what was measured beside the metrics: `details.json`, `robustness.json` and its picture."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..plots.robustness import Disturbed, draw_robustness
from ..tasks.measures import CLASSIFICATION
from ..utils.files import write_json
from .findings import Details, Extras, RobustnessCurve, TestTimeResult

_DECIMALS = 4


def in_metrics(extras: Extras) -> dict[str, Any]:
    """Return what belongs beside the metrics in their file, such as an ensemble, a comparison or an average."""
    found: dict[str, Any] = {}
    if extras.without_copies is not None:
        found["without_copies"] = _rounded(asdict(extras.without_copies))
    if extras.ensemble is not None:
        found["ensemble"] = _rounded({**asdict(extras.ensemble), "parameters": extras.ensemble.parameters})
    if extras.test_time is not None:
        found["test_time"] = _test_time(extras.test_time)
    if extras.comparison is not None:
        found["comparison"] = _rounded(asdict(extras.comparison))
    return found


def _test_time(result: TestTimeResult) -> Any:
    metrics = result.metrics
    figures = {name: getattr(metrics, name) for name in (*CLASSIFICATION.names, "mean_class_accuracy", "loss")}
    return _rounded({"average": result.title, "looks": result.looks, **figures, "gain_of_top1": asdict(result.gain)})


def write_extras(
    out: Path, extras: Extras, class_names: Sequence[str], title: str, *, pictures: bool
) -> dict[str, Path]:
    """Write what was measured into the folder `out` and return its files by their content.

    They are `details` and `robustness` (JSON) and `robustness_picture` (PNG); none for what was not measured.

    Raises:
        UserError: a file cannot be written.
    """
    files: dict[str, Path] = {}
    if extras.details is not None:
        files["details"] = out / "details.json"
        write_json(files["details"], details_facts(extras.details, class_names))
    if extras.robustness:
        files["robustness"] = out / "robustness.json"
        write_json(files["robustness"], _rounded({"curves": [asdict(curve) for curve in extras.robustness]}))
        if pictures:
            files["robustness_picture"] = out / "robustness.png"
            draw_robustness([_drawn(curve) for curve in extras.robustness], files["robustness_picture"], title)
    return files


def details_facts(details: Details, class_names: Sequence[str]) -> dict[str, Any]:
    """Return details as plain values, with the names of classes beside their numbers."""
    facts = asdict(details)
    for entry in facts["classes"]:
        entry["name"] = class_names[entry["index"]]
    for entry in facts["confusions"]:
        entry |= {f"{which}_name": class_names[entry[which]] for which in ("true", "predicted")}
    found: dict[str, Any] = _rounded(facts)
    return found


def _drawn(curve: RobustnessCurve) -> Disturbed:
    return Disturbed(
        curve.name,
        curve.unit,
        [(point.label, point.top1.value, point.top1.low, point.top1.high) for point in curve.points],
        curve.problem,
    )


def _rounded(value: Any) -> Any:
    """Return plain values with a few decimals."""
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
