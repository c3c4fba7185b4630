"""Filling the teacher cache: outputs for fixed augmented views of every training clip.

Legend: n training clips, R views of each, F numbers per clip.
"""

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..data.loading.bucketing import of_few_shapes
from ..data.loading.loader import Batch, build_loader
from ..data.loading.run_data import TrainingData
from ..data.loading.samplers import FixedAugmentationSampler
from ..evaluation.unusable_clips import UnusableClips
from ..runs.teacher_output_files import OUTPUT_FOLDER
from ..runtime.run_context import RunContext
from ..settings.data import DataConfig
from ..settings.distillation import DistillationConfig
from ..settings.run import RunConfig
from ..utils.errors import TimeIsOver
from ..utils.numbers import counted
from .cache import OutputFolder
from .teacher_outputs import refuse_non_finite
from .teachers import LiveTeachers

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1
_LATER_SETTINGS = (
    *("added", "drop_joints", "drop_limbs", "drop_frames", "drop_axis", "mask_crop", "drop_body", "exchange_bodies"),
    *("drift_metres", "time_warp", "mix_add", "mix_splice", "mix_axes", "anneal"),
)
_DROPS = ("drop_joints", "drop_limbs", "drop_frames", "mask_crop")
_BATCH = 128  # clips
_SAVED_EVERY = 50  # batches


def cached_outputs(config: RunConfig, data: TrainingData, live: LiveTeachers, run_context: RunContext) -> OutputFolder:
    """Return the cached teacher outputs for a run; the first process computes missing ones.

    An interrupted computation is resumed.

    Args:
        config: the configuration of the student's run.
        data: the training data.
        live: the teachers.
        run_context: device, processes, stop signals and progress display.

    Raises:
        UserError: the configured folder holds other outputs, they are damaged or not finite, the folder is not
            writable.
        TimeIsOver: the time limit of the run has passed.
    """
    how = config.distillation
    key = _key(how, config.data, data, live)
    shape = (len(data.sampler.indices), how.fixed_augmentations, live.clip_shapes.width)
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = Path(how.cache) if how.cache else Path(config.output_root) / OUTPUT_FOLDER / digest
    views = FixedAugmentationSampler(data.sampler.indices, how.fixed_augmentations, _BATCH)
    loader = build_loader(data.source, views, config.hardware, data.placement.on_device)
    batches = of_few_shapes(loader, config.batch_size, compiled=config.compile)

    def prepare() -> bytes:
        folder = OutputFolder(path, key, shape)
        if not folder.is_complete:
            with folder.alone():
                if not folder.is_complete:  # the previous owner of the lock may have completed them
                    _compute(folder, views, batches, data, live, run_context)
                    return str(path).encode()  # just computed, so its checksum is correct
        folder.check()
        return str(path).encode()

    found = Path(run_context.world.broadcast(prepare).decode())
    content = f"{counted(how.fixed_augmentations, 'view')} of {counted(shape[0], 'clip')}"
    _log.info(f"The teacher outputs for {content} are in {found}.")
    return OutputFolder(found, key, shape)


def _key(how: DistillationConfig, about: DataConfig, data: TrainingData, live: LiveTeachers) -> dict[str, Any]:
    """Return everything that the teacher outputs depend on, as JSON values."""
    # Settings that change nothing are left out, as in the keys of outputs from before they existed.
    how_augmented = asdict(about.augment)
    del how_augmented["mix_share"]  # clips are not mixed where outputs are cached
    if not any(how_augmented[name] for name in _DROPS):
        del how_augmented["drop_probability"]
    augment = {name: value for name, value in how_augmented.items() if value or name not in _LATER_SETTINGS}
    missing = {"min_confidence": about.min_confidence, "max_gap": about.max_gap}
    usual = {"min_confidence": DataConfig.min_confidence, "max_gap": DataConfig.max_gap}
    return {
        "format_version": FORMAT_VERSION,
        "teachers": list(how.fingerprints),
        "precision": live.precisions,
        "outputs": asdict(live.clip_shapes),
        "store": data.fingerprints["store"],
        "clips": hashlib.sha256(data.sampler.indices.numpy().astype("<i8").tobytes()).hexdigest(),
        "draws": how.fixed_augmentations,
        "input_frames": data.source.frames,
        "layout": data.fingerprints["layout"],
        "sampling": asdict(about.sampling),
        "augment": augment,
        "normalize": asdict(about.normalize),
        **({} if missing == usual else {"missing_joints": missing}),
    }


def _compute(
    folder: OutputFolder,
    order: FixedAugmentationSampler,
    batches: Iterable[Batch],
    data: TrainingData,
    live: LiveTeachers,
    run_context: RunContext,
) -> None:
    """Compute the teacher outputs for every view of every clip; `order` decides which views `batches` have."""
    outputs, order.start = folder.begin(len(order))
    bad = UnusableClips(
        data.source.store.clips["name"], "train nothing: the batches with them are skipped", run_context.device
    )
    with run_context.progress.task(
        "computing teacher outputs", order.num_clips, before=order.clips_before(order.start)
    ):
        for number, batch in enumerate(batches, start=order.start):
            moved = batch.to(run_context.device)
            teacher_outputs, unusable_clips = live.with_unusable_clips(data.pipeline(moved, training=True), moved)
            refuse_non_finite(teacher_outputs, live.paths, unusable_clips)
            bad.add(moved.indices, unusable_clips)
            packed = teacher_outputs.packed().cpu().numpy()
            rows = np.searchsorted(order.indices.numpy(), batch.indices.cpu().numpy())
            outputs[rows, order.view(number)] = packed
            run_context.progress.advance(len(batch))
            over = run_context.watch.is_over
            if over or (number + 1) % _SAVED_EVERY == 0:
                folder.save(outputs, number + 1)
            if over:
                raise TimeIsOver(
                    f"max_hours {run_context.watch.max_hours:g} passed while the teacher outputs were computed. Those "
                    f"so far are in {folder.path}; the same command continues."
                )
    bad.report()
    outputs.flush()
    folder.finish()
