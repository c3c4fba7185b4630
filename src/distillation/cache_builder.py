"""Asking teachers once about fixed variations of every training clip.

Legend: n training clips, R variations of each, F numbers of a lesson.
"""

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..data.loading.bucketing import of_few_shapes
from ..data.loading.loader import FixedAugmentationSampler, build_loader
from ..data.loading.run_data import TrainingData
from ..evaluation.unusable_clips import UnusableClips
from ..runtime.run_context import RunContext
from ..settings.run import RunConfig
from ..utils.errors import UserError
from ..utils.numbers import counted
from .cache import OutputFolder
from .teacher_outputs import refuse_broken
from .teachers import LiveTeachers

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1
_BATCH = 128  # clips
_SAVED_EVERY = 50  # batches


def kept_outputs(config: RunConfig, data: TrainingData, live: LiveTeachers, run_context: RunContext) -> OutputFolder:
    """Return the teachers' outputs for a run; the first process computes them where they are not there yet.

    An interrupted computation is resumed.

    Args:
        config: of the student's run.
        data: what the run learns from.
        live: the teachers.
        run_context: where they compute.

    Raises:
        UserError: the folder that the configuration names holds other outputs, they are damaged or not finite, the
            folder cannot be written, or the time of the run is over.
    """
    key = _key(config, data, live)
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    how, shape = (
        config.distillation,
        (len(data.order.indices), config.distillation.fixed_augmentations, live.form.width),
    )
    path = Path(how.cache) if how.cache else Path(config.output_root) / "teacher_outputs" / digest

    def prepare() -> bytes:
        folder = OutputFolder(path, key, shape)
        if not folder.is_whole:
            with folder.alone():
                if not folder.is_whole:  # the process that held the lock may have finished them
                    _ask(folder, config, data, live, run_context)
                    return str(path).encode()  # just made, and hashed for it
        folder.check()
        return str(path).encode()

    found = Path(run_context.world.broadcast(prepare).decode())
    content = f"{counted(how.fixed_augmentations, 'variation')} of {counted(shape[0], 'clip')}"
    _log.info(f"The teachers' outputs for {content} are in {found}.")
    return OutputFolder(found, key, shape)


def _key(config: RunConfig, data: TrainingData, live: LiveTeachers) -> dict[str, Any]:
    """Return everything that the teachers' outputs depend on, as JSON values."""
    about = config.data
    augment = asdict(about.augment)
    if not augment["added"]:
        del augment["added"]  # as in the keys of outputs from before there were any
    return {
        "format_version": FORMAT_VERSION,
        "teachers": list(config.distillation.fingerprints),
        "precision": live.precisions,
        "outputs": asdict(live.form),
        "store": data.fingerprints["store"],
        "clips": hashlib.sha256(data.order.indices.numpy().astype("<i8").tobytes()).hexdigest(),
        "draws": config.distillation.fixed_augmentations,
        "input_frames": config.input_frames,
        "layout": data.fingerprints["layout"],
        "sampling": asdict(about.sampling),
        "augment": augment,
        "normalize": asdict(about.normalize),
    }


def _ask(
    folder: OutputFolder, config: RunConfig, data: TrainingData, live: LiveTeachers, run_context: RunContext
) -> None:
    """Fill a folder with what the teachers say of every variation of every clip."""
    order = FixedAugmentationSampler(data.order.indices, config.distillation.fixed_augmentations, _BATCH)
    outputs, order.start = folder.begin(len(order))
    batches = of_few_shapes(build_loader(data.source, order, config.hardware, data.placement.on_device), config)
    bad = UnusableClips(
        data.source.store.clips["name"], "train nothing: the batches with them are skipped", run_context.device
    )
    with run_context.progress.task("asking the teachers", order.clips, before=order.clips_before(order.start)):
        for number, batch in enumerate(batches, start=order.start):
            moved = batch.to(run_context.device)
            lesson, excused = live.asked(data.pipeline(moved, training=True), moved)
            refuse_broken(lesson, live.paths, excused)
            bad.note(moved.indices, excused)
            packed = lesson.packed().cpu().numpy()
            rows = np.searchsorted(order.indices.numpy(), batch.indices.cpu().numpy())
            outputs[rows, order.view(number)] = packed
            run_context.progress.advance(len(batch))
            over = run_context.watch.is_over
            if over or (number + 1) % _SAVED_EVERY == 0:
                folder.save(outputs, number + 1)
            if over:
                raise UserError(
                    f"max_hours {config.max_hours:g} were over while the teachers were asked. What they said is kept "
                    f"in {folder.path}; the same command goes on."
                )
    bad.tell()
    outputs.flush()
    folder.finish()
