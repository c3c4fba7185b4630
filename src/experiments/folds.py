"""The same training for each fold of the clips; and the split of one run, from a text file or a fold."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from ..data.store.fold_choice import fold_protocols
from ..data.store.split_files import with_split_file
from ..settings.data import DataConfig
from ..settings.run import RunConfig
from ..settings.splits import FoldChoice, is_split_file
from ..utils.progress import SILENT, Progress
from .run import EndCallback, Result, store_of
from .series import PlannedRun, refuse_series, series_file, train_series


def with_split(config: RunConfig, choice: FoldChoice | None) -> RunConfig:
    """Return the configuration of one run with its split: the text file that `data.split` names, or one fold.

    The run's configuration then contains the split; neither file nor option is needed again.

    Raises:
        UserError: the data are missing, the file cannot be used, or there is no such fold.
    """
    if choice is not None:
        return replace(config, data=fold_settings(config, choice)[choice.fold - 1])
    if config.data.split in config.data.protocols or not is_split_file(config.data.split):
        return config
    clips = store_of(config, verify=False).clips
    return replace(config, data=with_split_file(config.data, clips, Path(config.data.split)))


def train_folds(
    config: RunConfig,
    choice: FoldChoice,
    seeds: Sequence[int] = (),
    resume: str = "",
    progress: Progress = SILENT,
    *,
    explicit_keys: Collection[str] = (),
    on_end: EndCallback | None = None,
) -> tuple[list[Result], Path]:
    """Train once per fold, and per seed, as `train_series` does; return the results and the file that holds them.

    Raises:
        UserError: there are no such folds, `resume` is a path, or what `train` refuses.
        TrainingDiverged: a run diverged.
    """
    refuse_series("--folds", resume, seeds)
    folds = fold_settings(config, choice)
    runs = [
        PlannedRun(
            f"Fold {number} of {len(folds)}" + (f" with seed {seed}" if seeds else ""),
            replace(config, data=data, seed=seed),
        )
        for seed in seeds or (config.seed,)
        for number, data in enumerate(folds, start=1)
    ]
    file = series_file("folds", config, f"{choice.by}_{len(folds)}", seeds)
    return train_series(runs, file, resume, progress, explicit_keys=explicit_keys, on_end=on_end), file


def fold_settings(config: RunConfig, choice: FoldChoice) -> list[DataConfig]:
    """Return the data set of a run once for each fold, with that fold as its protocol.

    Raises:
        UserError: the data are missing, or there are no such folds.
    """
    return fold_protocols(config.data, store_of(config, verify=False).clips, choice)
