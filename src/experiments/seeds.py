"""The same training with several seeds, and what they come to together."""

import logging
import math
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
from ..utils.limits import LARGEST_SEED
from ..utils.progress import SILENT, Progress
from ..utils.spread import mean_and_deviation
from .run import Ending, Result, train

_log = logging.getLogger(__name__)


def train_seeds(
    config: RunConfig,
    seeds: Sequence[int],
    resume: str = "",
    progress: Progress = SILENT,
    *,
    explicit_keys: Collection[str] = (),
    ending: Ending | None = None,
) -> tuple[list[Result], Path]:
    """Train once a seed, one after the other, and return the results and the file that holds them.

    With `resume` as `auto` finished seeds are left alone and an interrupted one goes on. A run that stops before its
    end ends the series, and `max_hours` are those of the series. `asked` and `ending` are
    what they are to `train`.

    Raises:
        UserError: a seed is named twice, `resume` is a path, or what `train` refuses.
        TrainingDiverged: a run diverged.
    """
    if len(set(seeds)) != len(seeds):
        raise UserError(f"--seeds names a seed twice: {', '.join(map(str, seeds))}.")
    if too_large := [seed for seed in seeds if not 0 <= seed <= LARGEST_SEED]:
        raise UserError(f"--seeds: {too_large[0]} should be 0 to {LARGEST_SEED}.")
    if resume not in ("", "auto"):
        raise UserError("--seeds has a run for each seed and goes on only with --resume auto.")
    named = "_".join(map(str, seeds[:8])) + ("_and_more" if len(seeds) > 8 else "")
    identity = f"{config.model.name}-{config.data.name}-{config.data.split}"
    identity += f"-{config.task}" if config.task != CLASSIFICATION.task else ""
    identity += f"-distilled-{config.distillation.method}" if config.distillation.teachers else ""
    file, began = Path(config.output_root) / f"seeds-{identity}-{named}.json", time.monotonic()
    results: list[Result] = []
    # Several processes come together once for all seeds: `torchrun` has a place for one meeting only.
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
                    began=began,
                    ending=ending,
                )
            )
            if results[-1].stopped is not None:
                break
            if world.is_first:
                write_json(file, _together(results))
    return results, file


def _together(results: Sequence[Result]) -> dict[str, Any]:
    """Return the figures of all runs, their means and spreads."""
    names = results[0].run.read_measures().figures()
    summaries: list[Mapping[str, Any]] = [each.summary for each in results]
    figures = {name: mean_and_deviation([float(each[name]) for each in summaries]) for name in names}
    return {
        "runs": {str(each.run.path): {key: each.summary[key] for key in ("seed", *names)} for each in results},
        "mean": {name: mean for name, (mean, _) in figures.items()},
        "standard_deviation": {
            name: None if math.isnan(deviation) else deviation for name, (_, deviation) in figures.items()
        },
    }
