"""Comparing runs: what differs in their configurations, how seeds spread, and the table as a file."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..utils.files import write_csv
from ..utils.foreign_text import printable
from ..utils.spread import mean_and_deviation
from .history import Run

UNKNOWN = "-"
_LONGEST_VALUE = 48
_OTHER_FIGURES = ("parameters", "train_seconds", "clips_per_second", "skipped_batches")


@dataclass(frozen=True)
class Spread:
    """How a configuration's results spread over seeds.

    Attributes:
        runs: one finished run a seed, all of one configuration but for the seed.
        best, final: mean and sample standard deviation of the primary metric on the test part.
    """

    runs: Sequence[Run]
    best: tuple[float, float]
    final: tuple[float, float]


def differing_keys(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return the configuration keys in which runs differ, with the value of each run as text.

    Runs whose configuration is not known have `-` everywhere and make no difference; so does a key that a run's
    configuration lacks, which is a difference.
    """
    known = [run.config for run in runs if run.config]
    keys = sorted({key for config in known for key in config})
    differing = [key for key in keys if len({_text(config, key) for config in known}) > 1]
    return {printable(key): [_shown(run.config, key) for run in runs] for key in differing}


def seed_spreads(runs: Sequence[Run], harmless: Sequence[str] = ()) -> list[Spread]:
    """Return the spread of every configuration of which several seeds finished.

    Of runs with the same seed the first counts. `harmless` are further keys that do not change what a run computes.
    """
    groups: dict[str, dict[int, Run]] = {}
    for run in runs:
        if run.finished and run.config and run.seed is not None:
            groups.setdefault(run.measures.task + _but_the_seed(run.config, harmless), {}).setdefault(run.seed, run)
    return [_spread(list(seeds.values())) for seeds in groups.values() if len(seeds) > 1]


def write_comparison(path: Path, runs: Sequence[Run]) -> None:
    """Write a CSV with a row a run: its figures, and as `config.<key>` the keys in which the runs differ.

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
    """Return a run as values that JSON has words for; what is not known is None."""
    figures = {name: _cell(run.figure(name)) for name in _figures([run])}
    known = {name: None if value == "" else value for name, value in (_identity(run) | figures).items()}
    return {"run": run.name, "path": str(run.path), **known, "problems": list(run.problems)}


def _figures(runs: Sequence[Run]) -> list[str]:
    """Return the names of the figures that runs have together, of tasks that measure other things too."""
    metrics = dict.fromkeys(name for run in runs for name in run.measures.figures())
    return ["best_epoch", *metrics, *_OTHER_FIGURES]


def _identity(run: Run) -> dict[str, object]:
    return {
        "model": run.model,
        "dataset": run.dataset,
        "split": run.split,
        "teachers": ", ".join(run.teachers),
        "seed": "" if run.seed is None else run.seed,
        "begun": "" if run.begun is None else run.begun.isoformat(),
        "status": run.state,
        "epochs_done": "" if run.epochs_done is None else run.epochs_done,
        "epochs": "" if run.epochs is None else run.epochs,
    }


def _spread(runs: Sequence[Run]) -> Spread:
    primary = runs[0].measures.primary  # all are of one task
    best, final = (mean_and_deviation([run.figure(f"{part}_{primary}") for run in runs]) for part in ("best", "final"))
    return Spread(runs, best, final)


def _but_the_seed(config: Mapping[str, Any], harmless: Sequence[str]) -> str:
    """Return a text that is equal for runs which compute the same but for the seed."""
    from .resume import HARMLESS, within  # with it comes torch, which a list of runs need not wait for

    kept = [key for key in sorted(config) if key != "seed" and not within(key, (*HARMLESS, *harmless))]
    return "\n".join(f"{key}={_text(config, key)}" for key in kept)


def _text(config: Mapping[str, Any], key: str) -> str:
    """Return a value as a text that is equal for equal values."""
    return json.dumps(config[key], ensure_ascii=False, default=str) if key in config else UNKNOWN


def _shown(config: Mapping[str, Any], key: str) -> str:
    """Return a value as people read it, on one line of bounded length."""
    text = printable(config[key] if key in config and isinstance(config[key], str) else _text(config, key))
    text = text or '""'
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1].rstrip() + "…"


def _cell(value: float) -> float | int | str:
    """Return a figure for a CSV: a whole number without decimals, empty where it is not known."""
    if not math.isfinite(value):
        return ""
    return int(value) if value.is_integer() else round(value, 4)
