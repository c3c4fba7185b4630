"""Several runs, one after the other, with mean and deviation of their results."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..runs.resume import covers
from ..runtime.distributed import World, device_index, joined
from ..runtime.precision import choose_device
from ..runtime.stop_requests import Stop, StopWatch
from ..settings.run import RunConfig
from ..tasks.measures import CLASSIFICATION
from ..utils.dotted_keys import flatten, mappings_of_names
from ..utils.errors import TimeIsOver, UserError
from ..utils.files import write_json
from ..utils.progress import SILENT, Progress
from ..utils.spread import MeanDeviation
from .config import refuse_impossible_seeds
from .run import EndCallback, Result, train

_log = logging.getLogger(__name__)
_SEEDS_NAMED = 8


@dataclass(frozen=True)
class PlannedRun:
    """One run of a series: its name in messages, and its configuration."""

    name: str
    config: RunConfig


def train_series(
    runs: Sequence[PlannedRun],
    file: Path,
    resume: str = "",
    progress: Progress = SILENT,
    *,
    explicit_keys: Collection[str] = (),
    on_end: EndCallback | None = None,
) -> list[Result]:
    """Train one run after the other, and return the results, which are also written to `file`.

    With `resume="auto"` finished runs are skipped and an interrupted one is resumed. A run that stops early ends the
    series. `max_hours` limits the whole series, also between two runs: the last result then says so. `explicit_keys`
    and `on_end` are passed to `train`.

    Raises:
        UserError: what `train` refuses.
        TrainingDiverged: a run diverged.
    """
    first, started_at = runs[0].config, time.monotonic()
    watch = StopWatch(first.max_hours, started_at)
    results: list[Result] = []
    # One process group for all runs: `torchrun` allows only one rendezvous.
    with joined(choose_device(first.device, device_index()), first.distributed.timeout_minutes) as world:
        for number, run in enumerate(runs, start=1):
            if results and world.broadcast(lambda: b"over" if watch.is_over else b""):
                return _out_of_time(results, run, world)
            if world.is_first:
                _log.info(f"{run.name}, run {number} of {len(runs)}.")
            try:
                result = train(
                    run.config, resume, progress, explicit_keys=explicit_keys, started_at=started_at, on_end=on_end
                )
            except TimeIsOver:  # while its data were prepared
                if not results:
                    raise
                return _out_of_time(results, run, world)
            results.append(result)
            if result.stopped is not None:
                break
            if world.is_first:
                write_json(file, _aggregate(results))
    return results


def _out_of_time(results: Sequence[Result], following: PlannedRun, world: World) -> list[Result]:
    """Return the results of a series whose time was over before the `following` run; the last one says so."""
    if world.is_first:
        _log.info(f"The series stopped before {following.name}: {Stop.TIME.value}.")
    return [*results[:-1], replace(results[-1], stopped=Stop.TIME)]


def refuse_series(option: str, resume: str, seeds: Sequence[int]) -> None:
    """Refuse a series that cannot be trained.

    Args:
        option: the option that makes it one.
        resume: the value of `--resume`.
        seeds: those of `--seeds`.

    Raises:
        UserError: a seed is named twice or impossible, or `resume` is a path.
    """
    refuse_impossible_seeds("--seeds", seeds)
    if resume not in ("", "auto"):
        what = option.removeprefix("--").removesuffix("s")
        raise UserError(f"{option} trains a run for each {what}, so it can be resumed only with --resume auto.")


def series_file(kind: str, config: RunConfig, split: str, seeds: Sequence[int] = ()) -> Path:
    """Return the file of a series' results: its name says what is the same in all runs, and the seeds."""
    parts = [kind, config.model.name, config.data.name, split]
    parts += [config.task] if config.task != CLASSIFICATION.task else []
    parts += [f"distilled-{config.distillation.method}"] if config.distillation.teachers else []
    more = "_and_more" if len(seeds) > _SEEDS_NAMED else ""
    parts += [f"peers-{config.distillation.peers}"] if config.distillation.peers else []
    parts += ["_".join(map(str, seeds[:_SEEDS_NAMED])) + more] if seeds else []
    return Path(config.output_root) / f"{'-'.join(parts)}.json"


def pooled(results: Sequence[Result]) -> dict[str, float]:
    """Return the metrics over the test clips of all runs together: their means, weighted by the number of clips."""
    names = results[0].run.read_measures().figures()
    clips = [int(each.summary["test_clips"]) for each in results]
    return {
        name: sum(float(each.summary[name]) * count for each, count in zip(results, clips, strict=True)) / sum(clips)
        for name in names
    }


def changed_values(
    started_with: Mapping[str, Any], config: RunConfig, ignored: Sequence[str]
) -> dict[str, tuple[Any, Any]]:
    """Return the keys that differ between a run's start and now, each with both values; `ignored` are not compared.

    A name that only one of them has, such as that of a plug-in, is a difference. A setting is not: an earlier version
    did not have it.
    """
    whole = mappings_of_names(config)
    before, now = flatten(started_with, whole=whole), flatten(asdict(config), whole=whole)
    common = [key for key in sorted(before.keys() & now.keys()) if not covers(ignored, key)]
    return {key: (before[key], now[key]) for key in common if _differ(before[key], now[key])}


def _differ(before: Any, now: Any, *, of_names: bool = True) -> bool:
    """Return whether two values differ; of mappings that are not `of_names`, only the common keys count."""
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return bool(before != now)
    if of_names and before.keys() != now.keys():
        return True
    return any(_differ(before[key], now[key], of_names=False) for key in before.keys() & now.keys())


def _aggregate(results: Sequence[Result]) -> dict[str, Any]:
    """Return the results of all runs with means and standard deviations, and over different parts pooled ones."""
    names = results[0].run.read_measures().figures()
    summaries: list[Mapping[str, Any]] = [each.summary for each in results]
    spreads = {name: MeanDeviation.of([float(each[name]) for each in summaries]).facts() for name in names}
    of_folds = len({each.get("split") for each in summaries}) > 1
    keys = ("seed", *(("split", "test_clips") if of_folds else ()), *names)
    return {
        "runs": {str(each.run.path): {key: each.summary[key] for key in keys} for each in results},
        **{part: {name: facts[part] for name, facts in spreads.items()} for part in ("mean", "standard_deviation")},
        **({"pooled": pooled(results)} if of_folds else {}),
    }
