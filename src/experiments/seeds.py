"""The same training with several seeds, with mean and deviation of the results."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from ..settings.run import RunConfig
from ..utils.progress import SILENT, Progress
from .run import EndCallback, Result
from .series import PlannedRun, refuse_series, series_file, train_series


def train_seeds(
    config: RunConfig,
    seeds: Sequence[int],
    resume: str = "",
    progress: Progress = SILENT,
    *,
    explicit_keys: Collection[str] = (),
    on_end: EndCallback | None = None,
) -> tuple[list[Result], Path]:
    """Train once per seed, as `train_series` does; return the results and the file that holds them.

    Raises:
        UserError: a seed is named twice, `resume` is a path, or what `train` refuses.
        TrainingDiverged: a run diverged.
    """
    refuse_series("--seeds", resume, seeds)
    runs = [PlannedRun(f"Seed {seed}", replace(config, seed=seed)) for seed in seeds]
    file = series_file("seeds", config, config.data.split, seeds)
    return train_series(runs, file, resume, progress, explicit_keys=explicit_keys, on_end=on_end), file
