"""A training run from its configuration to its summary: begin it, or go on with an earlier one."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.locate import find_store
from ..models.registry import build_model, count_parameters
from ..utils.config import to_yaml
from ..utils.errors import UserError
from ..utils.files import read_json, unwritable, write_json, write_text
from ..utils.progress import SILENT, Progress
from ..utils.versions import git_commit, versions
from .checkpoint import Checkpoint, read_checkpoint, start_from
from .config import RunConfig
from .data import training_data
from .logbook import Logbook
from .precision import choose_device
from .run_folder import RunFolder, find_run
from .task import Classification
from .trainer import Trainer

_log = logging.getLogger(__name__)

# Keys that do not change what a run computes; a resumed run takes them as they are now.
_HARMLESS = (
    "environment",
    "data_root",
    "output_root",
    "hardware.num_workers",
    "hardware.pin_memory",
    "hardware.prefetch_factor",
    "hardware.cpu_threads",
    "device",
    "tensorboard",
    "data.how_to_get",
)


def train(config: RunConfig, resume: str = "", progress: Progress = SILENT) -> tuple[RunFolder, Mapping[str, Any]]:
    """Train a model as `config` says and return the run's folder and summary.

    Args:
        config: the whole configuration.
        resume: the path of a checkpoint to go on from; `auto` for the newest run of this model, data set, protocol
            and seed, a new run where there is none; empty for a new run.
        progress: who is told how far it is.

    Raises:
        UserError: the data are missing, the configuration does not fit them or the run to go on with, or a file
            cannot be written.
        TrainingDiverged: the numbers left the finite range.
    """
    device = choose_device(config.device)
    if config.hardware.cpu_threads:
        torch.set_num_threads(config.hardware.cpu_threads)
    run, checkpoint = _starting_point(config, resume)
    if run is not None and run.finished and (checkpoint is None or checkpoint.epoch + 1 >= config.epochs):
        _log.info(f"The run {run.path} is finished; there is nothing to go on with.")
        return run, read_json(run.summary)
    store = find_store(config.data, Path(config.data_root))
    data = training_data(config, store)
    torch.manual_seed(config.seed)
    model = build_model(config.model, len(data.classes), config.data.layout)
    if config.init_from and checkpoint is None:
        start_from(model, Path(config.init_from))
    task = Classification(model, config.label_smoothing)
    run = run or RunFolder.create(Path(config.output_root))
    trainer = Trainer(config, task, data, run=run, device=device, progress=progress)
    if checkpoint is not None:
        trainer.resume(checkpoint, str(run.last) if resume == "auto" else resume)
    with _log_file(run):
        logbook = _begin_files(run, config, checkpoint)
        if checkpoint is not None:
            _log.info(f"Going on with {run.path} behind epoch {checkpoint.epoch}.")
        trainer.fit(logbook)
        summary = _summary(config, trainer, logbook)
        write_json(run.summary, summary)
    return run, summary


def _starting_point(config: RunConfig, resume: str) -> tuple[RunFolder | None, Checkpoint | None]:
    """Return the run to go on with and its checkpoint; nothing where a new run begins."""
    if not resume:
        return None, None
    if resume == "auto":
        run = find_run(Path(config.output_root), config)
        if run is None or not run.last.exists():
            return run, None
        path = run.last
    else:
        path = Path(resume)
        run = None
    checkpoint = read_checkpoint(path)
    run = run or RunFolder.of_checkpoint(path)
    _refuse_changes(checkpoint.config, config, path)
    return run, checkpoint


def _refuse_changes(before: RunConfig, now: RunConfig, path: Path) -> None:
    """Refuse to go on with another configuration, listing every key that differs."""
    old, new = _flat(asdict(before)), _flat(asdict(now))
    harmless = _HARMLESS if before.amp and now.amp else (*_HARMLESS, "hardware.amp_dtype")
    changed = [
        f"  {key}: {old.get(key)!r} in the run, {new.get(key)!r} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not key.startswith(harmless)
    ]
    if changed:
        raise UserError(
            f"The run of {path} was begun with another configuration:\n" + "\n".join(changed) + "\nGive the same "
            "options as then (or --config with the run's config.yaml), or start a new run without --resume."
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


def _begin_files(run: RunFolder, config: RunConfig, checkpoint: Checkpoint | None) -> Logbook:
    """Write the configuration, and open the logbook at the epoch that the run goes on from."""
    write_text(run.config, to_yaml(config))
    run.summary.unlink(missing_ok=True)
    logbook = Logbook(run.path, tensorboard=config.tensorboard)
    logbook.keep_until(-1 if checkpoint is None else checkpoint.epoch)
    return logbook


@contextmanager
def _log_file(run: RunFolder) -> Iterator[None]:
    """Copy what the package logs into the run's `log.txt` while the block runs."""
    logger = logging.getLogger(__name__.partition(".")[0])
    handler = _LogFile(run.log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        with suppress(OSError):  # every line was flushed when it was written; what could not be was told then
            handler.close()


class _LogFile(logging.FileHandler):
    """Say that a line could not be written as every file of a run does, where `logging` prints a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exception()
        if isinstance(error, OSError):
            raise unwritable(Path(self.baseFilename), error) from error
        super().handleError(record)


def _summary(config: RunConfig, trainer: Trainer, logbook: Logbook) -> dict[str, Any]:
    """Return what `summary.json` holds; accuracies are percent on the protocol's test part."""
    rows = {row["epoch"]: row for row in logbook.rows()}
    best, final = rows[trainer.progression.best_epoch], rows[config.epochs - 1]
    speeds = [float(row["clips_per_second"]) for row in rows.values()]
    return {
        "model": config.model.name,
        "dataset": config.data.name,
        "split": config.data.split,
        "seed": config.seed,
        "parameters": count_parameters(trainer.model),
        "validation": config.validation,
        "best_epoch": trainer.progression.best_epoch,
        "best_top1": best["test_top1"],
        "best_top5": best["test_top5"],
        "final_top1": final["test_top1"],
        "final_top5": final["test_top5"],
        "train_seconds": sum(float(row["seconds"]) for row in rows.values()),
        "clips_per_second": float(np.median(speeds)),
        "skipped_batches": sum(int(row["skipped_batches"]) for row in rows.values()),
        "versions": versions(),
        "git_commit": git_commit(),
    }
