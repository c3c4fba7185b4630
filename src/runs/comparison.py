"""Comparison of runs: differing configuration keys, mean and deviation over seeds, and the table as a file."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..settings.data import ProtocolConfig
from ..settings.run import RunConfig
from ..utils.dotted_keys import flatten
from ..utils.errors import UserError
from ..utils.files import write_csv
from ..utils.foreign_text import printable
from ..utils.spread import MeanDeviation
from .results import Run

UNKNOWN = "-"
_LONGEST_VALUE = 48
_PROTOCOLS, _DEPTH = "data.protocols.", 3  # a key of a protocol is data.protocols.<name>.<key>
_OTHER_FIGURES = ("parameters", "train_seconds", "clips_per_second", "skipped_batches")


@dataclass(frozen=True)
class SeedSpread:
    """Mean and deviation of the results of one configuration over seeds.

    Attributes:
        runs: one finished run per seed, with otherwise equal configurations.
        best, final: mean and sample standard deviation of the primary metric on the test part.
    """

    runs: Sequence[Run]
    best: MeanDeviation
    final: MeanDeviation


def differing_keys(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return the configuration keys in which runs differ, with the value of each run as text.

    A missing key has its default, as when the run is resumed: an earlier version did not have it. One without a
    default is `-` and counts as a difference. A run whose configuration is unknown has `-` for every key, and these do
    not count.
    """
    configs = [_with_defaults(run.config) for run in runs]
    known = [config for config in configs if config]
    keys = sorted({key for run in runs for key in run.config})
    differing = [key for key in keys if len({_text(config, key) for config in known}) > 1]
    return {printable(key): [_shown(config, key) for config in configs] for key in differing}


def seed_spreads(runs: Sequence[Run], harmless: Sequence[str] = ()) -> list[SeedSpread]:
    """Return mean and deviation for every configuration with several finished seeds.

    Of runs with the same seed the first counts. `harmless` are more keys that do not change what a run computes.
    """
    groups: dict[str, dict[int, Run]] = {}
    for run in runs:
        if run.finished and run.config and run.seed is not None:
            groups.setdefault(run.measures.task + _key_without_seed(run.config, harmless), {}).setdefault(run.seed, run)
    return [_seed_spread(list(seeds.values())) for seeds in groups.values() if len(seeds) > 1]


def write_comparison(path: Path, runs: Sequence[Run]) -> None:
    """Write a CSV with one row per run: its metrics, and the differing keys as columns `config.<key>`.

    Raises:
        UserError: it cannot be written.
    """
    differing = differing_keys(runs)
    names = _figures(runs)
    header = ["run", "path", *_identity(runs[0]), *names, *(f"config.{key}" for key in differing)]
    rows = [
        [
            run.name,
            printable(str(run.path)),
            *_identity(run).values(),
            *(_cell(run.figure(name)) for name in names),
            *(values[index] for values in differing.values()),
        ]
        for index, run in enumerate(runs)
    ]
    write_csv(path, header, rows)


def record(run: Run) -> dict[str, Any]:
    """Return a run as JSON values; an unknown value is None."""
    figures = {name: _cell(run.figure(name)) for name in _figures([run])}
    known = {name: None if value == "" else value for name, value in (_identity(run) | figures).items()}
    return {"run": run.name, "path": str(run.path), **known, "problems": list(run.problems)}


def _figures(runs: Sequence[Run]) -> list[str]:
    """Return the metric columns of all runs, which may be of different tasks."""
    metrics = dict.fromkeys(name for run in runs for name in run.measures.figures())
    return ["best_epoch", *metrics, *_OTHER_FIGURES]


def _identity(run: Run) -> dict[str, object]:
    return {
        "model": run.model,
        "model_title": run.model_title,
        "dataset": run.dataset,
        "split": run.split,
        "teachers": ", ".join(run.teachers),
        "peers": run.peers,
        "seed": "" if run.seed is None else run.seed,
        "begun": "" if run.begun is None else run.begun.isoformat(),
        "status": run.state,
        "epochs_done": "" if run.epochs_done is None else run.epochs_done,
        "epochs": "" if run.epochs is None else run.epochs,
    }


def _seed_spread(runs: Sequence[Run]) -> SeedSpread:
    primary = runs[0].measures.primary  # they are all of one task
    best, final = (MeanDeviation.of([run.figure(f"{part}_{primary}") for run in runs]) for part in ("best", "final"))
    return SeedSpread(runs, best, final)


def _key_without_seed(config: Mapping[str, Any], harmless: Sequence[str]) -> str:
    """Return a text that is equal for runs that differ only in the seed and in harmless keys."""
    from .resume import HARMLESS, covers  # it imports torch, which a list of runs does not need

    completed = _with_defaults(config)
    kept = [key for key in sorted(completed) if key != "seed" and not covers((*HARMLESS, *harmless), key)]
    return "\n".join(f"{key}={_text(completed, key)}" for key in kept)


def _with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the default of every key that it lacks; one that is unknown stays empty."""
    if not config:
        return {}
    protocols = {key.split(".")[2] for key in config if key.startswith(_PROTOCOLS) and key.count(".") == _DEPTH}
    defaults = {
        "": asdict(RunConfig()),
        "model.": _model_defaults(str(config.get("model.family", ""))),
        **{f"{_PROTOCOLS}{name}.": asdict(ProtocolConfig()) for name in protocols},
    }
    filled = {key: value for prefix, values in defaults.items() for key, value in flatten(values, prefix).items()}
    return {**filled, **config}


def _model_defaults(family: str) -> dict[str, Any]:
    """Return the default values of a family's configuration; none of a family that is not known here."""
    from ..models.registry import family_config  # it imports torch, which a list of runs does not need

    try:
        return asdict(family_config(family))
    except UserError:
        return {}


def _text(config: Mapping[str, Any], key: str) -> str:
    """Return a value as canonical JSON text."""
    return json.dumps(config[key], ensure_ascii=False, default=str) if key in config else UNKNOWN


def _shown(config: Mapping[str, Any], key: str) -> str:
    """Return a value for display, on one line of limited length."""
    text = printable(config[key] if key in config and isinstance(config[key], str) else _text(config, key))
    text = text or '""'
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1].rstrip() + "…"


def _cell(value: float) -> float | int | str:
    """Return a number for a CSV cell: an integer without decimals, empty if unknown."""
    if not math.isfinite(value):
        return ""
    return int(value) if value.is_integer() else round(value, 4)
