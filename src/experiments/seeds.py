"""The same training with several seeds, with mean and deviation of the results."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..runtime.distributed import device_index, joined
from ..runtime.precision import choose_device
from ..settings.run import RunConfig
from ..tasks.measures import CLASSIFICATION
from ..utils.errors import UserError
from ..utils.files import write_json
from ..utils.progress import SILENT, Progress
from ..utils.spread import MeanDeviation
from .config import refuse_impossible_seeds
from .run import EndCallback, Result, train

_log = logging.getLogger(__name__)


def train_seeds(
    config: RunConfig,
    seeds: Sequence[int],
    resume: str = "",
    progress: Progress = SILENT,
    *,
    explicit_keys: Collection[str] = (),
    on_end: EndCallback | None = None,
) -> tuple[list[Result], Path]:
    """Train once per seed, one after the other, and return the results and the file that holds them.

    With `resume="auto"` finished seeds are skipped and an interrupted one is resumed. A run that stops early ends the
    series, and `max_hours` limits the whole series. `explicit_keys` and `on_end` are passed to `train`.

    Raises:
        UserError: a seed is named twice, `resume` is a path, or what `train` refuses.
        TrainingDiverged: a run diverged.
    """
    if len(set(seeds)) != len(seeds):
        raise UserError(f"--seeds names a seed twice: {', '.join(map(str, seeds))}.")
    refuse_impossible_seeds("--seeds", seeds)
    if resume not in ("", "auto"):
        raise UserError("--seeds trains a run for each seed, so it can be resumed only with --resume auto.")
    named = "_".join(map(str, seeds[:8])) + ("_and_more" if len(seeds) > 8 else "")
    identity = f"{config.model.name}-{config.data.name}-{config.data.split}"
    identity += f"-{config.task}" if config.task != CLASSIFICATION.task else ""
    identity += f"-distilled-{config.distillation.method}" if config.distillation.teachers else ""
    file, started_at = Path(config.output_root) / f"seeds-{identity}-{named}.json", time.monotonic()
    results: list[Result] = []
    # One process group for all seeds: `torchrun` allows only one rendezvous.
    with joined(choose_device(config.device, device_index()), config.distributed.timeout_minutes) as world:
        for number, seed in enumerate(seeds, start=1):
            if world.is_first:
                _log.info(f"Seed {seed}, run {number} of {len(seeds)}.")
            results.append(
                train(
                    replace(config, seed=seed),
                    resume,
                    progress,
                    explicit_keys=explicit_keys,
                    started_at=started_at,
                    on_end=on_end,
                )
            )
            if results[-1].stopped is not None:
                break
            if world.is_first:
                write_json(file, _aggregate(results))
    return results, file


def _aggregate(results: Sequence[Result]) -> dict[str, Any]:
    """Return the results of all runs with means and standard deviations."""
    names = results[0].run.read_measures().figures()
    summaries: list[Mapping[str, Any]] = [each.summary for each in results]
    spreads = {name: MeanDeviation.of([float(each[name]) for each in summaries]).facts() for name in names}
    return {
        "runs": {str(each.run.path): {key: each.summary[key] for key in ("seed", *names)} for each in results},
        **{part: {name: facts[part] for name, facts in spreads.items()} for part in ("mean", "standard_deviation")},
    }
