"""The summary of a finished run: what `summary.json` holds."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..models.multi_body import streams_of
from ..models.registry import count_parameters
from ..runs.checkpoint import read_checkpoint
from ..runs.folder import ALL_EPOCHS, EARLY_STOPPING, RunFolder
from ..runs.logbook import Logbook
from ..training.trainer import Trainer
from ..utils.errors import UserError
from ..utils.machine import machine_facts
from ..utils.program import command_line, program
from ..utils.versions import git_commit, versions


def summarise(trainer: Trainer, logbook: Logbook) -> dict[str, Any]:
    """Return the content of `summary.json`; accuracies are percent on the protocol's test part."""
    config, state, prefix = trainer.config, trainer.state, trainer.tests.reported_prefix
    rows = {row["epoch"]: row for row in logbook.rows()}
    best, final = (_row_of(trainer.run, rows, epoch) for epoch in (state.progress.best_epoch, state.progress.epoch - 1))
    skips = state.guard.skips
    return {
        "model": config.model.name,
        "dataset": config.data.name,
        "split": config.data.split,
        "seed": config.seed,
        "parameters": count_parameters(trainer.model),
        "streams": list(streams_of(config.model)),
        "weights": "trained" if state.average is None else "averaged",
        "validation": config.validation,
        "epochs_trained": state.progress.epoch,
        "ended": EARLY_STOPPING if trainer.stopped_early else ALL_EPOCHS,
        "best_epoch": state.progress.best_epoch,
        **{f"best_{name}": best[f"{prefix}test_{name}"] for name in trainer.measures.names},
        **{f"final_{name}": final[f"{prefix}test_{name}"] for name in trainer.measures.names},
        "train_seconds": sum(float(row["seconds"]) for row in rows.values()),
        "clips_per_second": float(np.median([float(row["clips_per_second"]) for row in rows.values()])),
        "processes": trainer.world.size,
        "statistics": "measured" if state.average is not None or trainer.tests.statistics_lag else "running",
        "data": trainer.data.fingerprints,
        "skipped_batches": skips.batches,
        "skipped_by_cause": vars(skips),
        "training_clips": len(trainer.data.sampler.indices),
        "test_clips": trainer.data.test.num_clips,
        **trainer.task.facts(),
        "continued_from": trainer.run.origin_path,
        "command": command_line(),
        "machine": {**machine_facts(), "device": _device_name(trainer.device), "threads": torch.get_num_threads()},
        "versions": versions(),
        "git_commit": git_commit(),
        "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _device_name(device: torch.device) -> str:
    """Return the name of a GPU, or the type of another device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _row_of(run: RunFolder, rows: Mapping[Any, Mapping[str, Any]], epoch: int) -> Mapping[str, Any]:
    """Return the row of an epoch from the logbook, or from the epoch's checkpoint if the logbook lacks it.

    Raises:
        UserError: both lack it.
    """
    if epoch in rows:
        return rows[epoch]
    for path in (run.best, run.last):
        checkpoint = read_checkpoint(path)
        if checkpoint.epoch == epoch and checkpoint.metrics:
            return checkpoint.metrics
    raise UserError(
        f"The metrics of epoch {epoch} of {run.path} are missing in metrics.jsonl and in its checkpoints. Its weights "
        f"are readable: evaluate them with `{program()} evaluate --checkpoint {run.last}`."
    )
