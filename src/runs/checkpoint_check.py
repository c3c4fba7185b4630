"""Checks of a checkpoint's fields: a checksum shows that a file is complete, not that its values make sense.

These checks need only the file. `state_mismatch` compares a saved state with the state of the resuming run, such as the
shapes of the optimizer's buffers.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from ..tasks.measures import PERCENT, measures_from
from ..utils.errors import UserError
from ..utils.foreign_text import is_readable, short

_LARGEST = 2**53  # up to here every whole number is a float as well
_MOST_EPOCHS = 1_000_000
_MOST_CLASSES = 1_000_000
_CLOSE = 1e-6  # relative: another version of torch may round a learning rate in another way
_BATCHES = "num_batches_tracked"

_Check = Callable[[Any], str]


def field_problem(fields: Mapping[str, Any]) -> str:
    """Return the first invalid field of a checkpoint and why it is invalid, or an empty string."""
    for name, check in _FIELDS.items():
        if problem := check(fields[name]):
            return f"{name}{problem}"
    return _contradiction(fields)


def state_mismatch(given: Any, own: Any, where: str, *, exact: bool = False) -> str:
    """Return where the structure of a saved state differs from that of a run's `own`, or an empty string.

    A flag that only some versions of torch write may be missing on either side.

    Args:
        given, own: nested dicts, lists, tensors and plain values.
        where: the name of `given` in the message.
        exact: also require equal numbers and texts, except for rounding.
    """
    if isinstance(own, Tensor):
        fits = isinstance(given, Tensor) and given.shape == own.shape
        same_kind = fits and given.is_floating_point() == own.is_floating_point()
        return "" if same_kind else f"{where} is {_describe(given)}, not {_describe(own)}"
    if isinstance(own, Mapping):
        if not isinstance(given, Mapping):
            return f"{where} is {_describe(given)}, not a mapping"
        differing = [key for key in own.keys() ^ given.keys() if not _is_flag(own.get(key, given.get(key)))]
        if differing:
            return f"{where} should have the keys {_keys_of(own)}, not {_keys_of(given)}"
        parts = ((given[key], own[key], f"{where}.{key}") for key in own.keys() & given.keys())
    elif isinstance(own, list | tuple):
        if not isinstance(given, list | tuple) or len(given) != len(own):
            return f"{where} is {_describe(given)}, not a list of {len(own)}"
        parts = ((each, mine, f"{where}.{index}") for index, (each, mine) in enumerate(zip(given, own, strict=True)))
    else:
        return _plain_mismatch(given, own, where, exact)
    return next(filter(None, (state_mismatch(*part, exact=exact) for part in parts)), "")


def _plain_mismatch(given: Any, own: Any, where: str, exact: bool) -> str:
    if isinstance(given, Tensor | Mapping | list | tuple):
        fits = False
    elif _is_number(own):
        fits = _is_number(given) and (not exact or math.isclose(given, own, rel_tol=_CLOSE))
    else:
        equal = bool(given) == bool(own) if _is_flag(own) and _is_flag(given) else given == own
        fits = equal if exact else type(given) is type(own)
    return "" if fits else f"{where} is {_describe(given)}, not {'' if exact else 'like '}{_describe(own)}"


def _is_flag(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _describe(value: Any) -> str:
    return f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else short(value)


def _keys_of(mapping: Mapping[Any, Any]) -> str:
    return short(sorted(map(str, mapping)))


# --- single fields: each check returns the problem, which follows the field's name in the message


def _integer(least: int, most: int = _LARGEST) -> _Check:
    def check(value: Any) -> str:
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return "" if fits else f" is {_describe(value)}, not a whole number from {least} to {most}"

    return check


def _number(least: float, most: float = math.inf) -> _Check:
    def check(value: Any) -> str:
        fits = _is_number(value) and least <= value <= most
        return "" if fits else f" is {_describe(value)}, not a number from {least}"

    return check


def _logbook_cell(value: Any) -> str:
    """Check a cell of the logbook, whose numbers may be NaN."""
    if isinstance(value, str):
        return "" if is_readable(value) else " is no text"
    is_unknown = isinstance(value, float) and not math.isfinite(value)
    fits = is_unknown or (_is_number(value) and abs(value) <= 1e300)
    return "" if fits else f" is {_describe(value)}, not a figure"


def _not_a_number(value: Any) -> str:
    return "" if isinstance(value, float) and not math.isnan(value) else f" is {_describe(value)}, not a number"


def _text(value: Any) -> str:
    return "" if isinstance(value, str) and is_readable(value) else f" is {_describe(value)}, not a text"


def _tensor(value: Any) -> str:
    return "" if isinstance(value, Tensor) else f" is {_describe(value)}, not a tensor"


def _anything(_value: Any) -> str:
    return ""


def _plain(value: Any) -> str:
    """Check that nested dicts and lists hold no tensor, whose `==` is not a bool."""
    if isinstance(value, Mapping):
        return next((f".{name}{problem}" for name, each in value.items() if (problem := _plain(each))), "")
    if isinstance(value, list | tuple):
        return next(filter(None, map(_plain, value)), "")
    return f" is {_describe(value)}, not a plain value" if isinstance(value, Tensor) else ""


def _mapping(check: _Check, key: type = str) -> _Check:
    def check_all(value: Any) -> str:
        if not isinstance(value, Mapping) or not all(type(each) is key for each in value):
            return f" is {_describe(value)}, not a mapping of {'names' if key is str else 'numbers'}"
        problems = (f".{name}{problem}" for name, each in value.items() if (problem := check(each)))
        return next(problems, "")

    return check_all


def _record(**checks: _Check) -> _Check:
    """Return a check of a mapping that needs at least these keys."""

    def check_all(value: Any) -> str:
        if problem := _mapping(_anything)(value):
            return problem
        if missing := checks.keys() - value.keys():
            return f" lacks {', '.join(sorted(missing))}"
        return next((f".{name}{bad}" for name, check in checks.items() if (bad := check(value[name]))), "")

    return check_all


def _empty_or(check: _Check) -> _Check:
    return lambda value: "" if isinstance(value, Mapping) and not value else check(value)


def _list_of(check: _Check, most: int) -> _Check:
    def check_all(value: Any) -> str:
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            return f" is {_describe(value)}, not a list of 1 to {most:,}"
        return next((f".{index}{bad}" for index, each in enumerate(value) if (bad := check(each))), "")

    return check_all


def _measures(value: Any) -> str:
    if problem := _mapping(_plain)(value):
        return problem
    try:
        measures_from(value, "It")
    except UserError:
        return " are not the metrics of a task"
    return ""


_SECONDS = _number(0, 1e12)
_COUNTS = _mapping(_integer(0))
_FIELDS: dict[str, _Check] = {
    "model": _mapping(_tensor),
    "optimizer": _empty_or(
        _record(state=_mapping(_mapping(_anything), int), param_groups=_list_of(_mapping(_anything), 100)),
    ),
    "scheduler": _mapping(_plain),
    "scaler": _empty_or(_record(scale=_number(math.ulp(0.0)), _growth_tracker=_integer(0))),
    "ema": _mapping(_tensor),
    "ema_steps": _integer(0),
    "window": _empty_or(_record(clips=_tensor)),
    "guard": _COUNTS,
    "epoch": _integer(-1, _MOST_EPOCHS),
    "within": _empty_or(
        _record(clips=_integer(1), meter=_tensor, skips=_COUNTS, waited=_SECONDS, seconds=_SECONDS),
    ),
    "best_acc": _logbook_cell,
    "best_epoch": _integer(0, _MOST_EPOCHS),
    "metrics": _mapping(_logbook_cell),
    "config": _mapping(_plain),
    "classes": _list_of(_text, _MOST_CLASSES),
    "layout": _mapping(_plain),
    "task": _mapping(_tensor),
    "statistics": _mapping(_mapping(_tensor)),
    "data": _mapping(_text),
    "measures": _measures,
    "computed_with": _mapping(_text),
}


# --- consistency between fields


def _contradiction(fields: Mapping[str, Any]) -> str:
    """Return which field contradicts another one, or an empty string."""
    model, metrics, epoch = fields["model"], fields["metrics"], fields["epoch"]
    metric = measures_from(fields["measures"], "It").primary_metric
    best, bounds = fields["best_acc"], _number(metric.worst, 100.0)
    problem = bounds(best) if metric.unit == PERCENT and metric.higher_is_better else _not_a_number(best)
    if problem:
        return f"best_acc{problem}"
    if fields["best_epoch"] > max(epoch, 0):
        return f"best_epoch is {fields['best_epoch']}, after the last epoch, {epoch}"
    for name, value in model.items():
        if name.endswith(_BATCHES) and (value.shape or value.is_floating_point() or not 0 <= int(value) < _LARGEST):
            return f"model.{name} is no number of batches"
    statistics = {name: each for name, each in model.items() if name.endswith(("running_mean", "running_var"))}
    for kind, own in fields["statistics"].items():
        if kind not in ("averaged", "trained"):
            return f"statistics.{short(kind)} are of no weights"
        if problem := state_mismatch(own, statistics, f"statistics.{kind}"):
            return problem
    if epoch < 0 or not metrics:
        return ""
    weights = ("", "ema_") if fields["ema"] else ("",)
    parts = ("test", "val") if fields["config"].get("validation") == "split" else ("test",)
    names = ("loss", *measures_from(fields["measures"], "It").names)
    columns = [f"{which}{part}_{name}" for which in weights for part in parts for name in names]
    if metrics.get("epoch") != epoch or any(isinstance(metrics.get(each, ""), str) for each in columns):
        return f"metrics are not the row of epoch {epoch}"
    return ""
