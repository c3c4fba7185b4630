"""The cost of teachers: a student's training step alone, with a live teacher and with a teacher's cached outputs.

All three run the trainer's step (streams, forward, backward, guard, update) on equal students, alternately on the same
batches from a store. The cached one reads teacher outputs from a memory-mapped file of full size. Building a cache is
timed separately. The teacher has random weights, which do not affect the times.
"""

import statistics
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from last.data.loading.loader import Batch
from last.data.loading.run_data import TrainingData, training_data
from last.distillation.cache import CachedTeachers, OutputFolder
from last.distillation.cache_builder import cached_outputs
from last.distillation.task import Distillation
from last.distillation.teacher_outputs import OutputSource
from last.distillation.teachers import LiveTeachers, Teacher
from last.models.classifier import SkeletonClassifier
from last.runtime.precision import choose_device
from last.runtime.run_context import RunContext
from last.settings.run import RunConfig
from last.training.classification import Classification
from last.utils.progress import Progress

from .content import write_clips
from .measure import Turns, Way, ratio, spread, take_turns
from .report import Result, Table, spread_columns
from .steps import Learner, build_task, config_of, note_of

PLAIN, LIVE, CACHED = "plain", "live teacher", "cached teacher"
_STEPS = {
    "step": "{way}",
    **spread_columns("ms", "milliseconds"),
    "clips/s": "{clips_per_second:,.1f}",
    "times plain": "{ratio:.3f}",
}
_BUILDS = {
    "cache of": "{clips:,} clips",
    **spread_columns("s", "seconds"),
    "ms per clip": "{milliseconds_per_clip:.2f}",
    "clips/s": "{clips_per_second:,.1f}",
}


@dataclass(frozen=True)
class Setup:
    """The student's data and its teacher.

    Attributes:
        config: of the student's run.
        data: what it learns from.
        teacher: with random weights.
        live: the same, ready to compute its outputs.
        device: where everything is computed.
        folder: for caches.
    """

    config: RunConfig
    data: TrainingData
    teacher: Teacher
    live: LiveTeachers
    device: torch.device
    folder: Path


def measure(arguments: Namespace, progress: Progress) -> Result:
    """Time the three steps alternately, then build caches."""
    with tempfile.TemporaryDirectory() as folder:
        setup = prepare(arguments, Path(folder), progress)
        tasks, batches = build_tasks(setup), batches_of_views(setup)
        ways = {name: _step(setup, task, batches) for name, task in tasks.items()}
        taken = take_turns(ways, Turns(arguments.turns), setup.device, progress)
        plan = Turns(arguments.fills, warmup_turns=1)
        (builds,) = take_turns({"building a cache": cache_building(setup)}, plan, setup.device, progress).values()
    return _result(taken, builds, setup, arguments)


def prepare(arguments: Namespace, folder: Path, progress: Progress) -> Setup:
    """Return the setup, with its clips written below `folder`."""
    device = choose_device(arguments.device)
    config = config_of(
        arguments,
        amp=arguments.amp,
        distillation__teachers=[arguments.teacher],
        distillation__fixed_augmentations=arguments.fixed_augmentations,
    )
    teacher = _random_teacher(arguments, device)
    clips = max(arguments.clips, arguments.batch)  # no batch is smaller than requested
    store = write_clips(folder, clips, 1, arguments.seed, progress)
    data = training_data(config, store, device=device)
    live = LiveTeachers([teacher], config.distillation.method, device)
    return Setup(config, data, teacher, live, device, folder)


def _random_teacher(arguments: Namespace, device: torch.device) -> Teacher:
    """Return a teacher as one is read from a checkpoint, except its weights, which are drawn from the seed."""
    config = config_of(Namespace(**{**vars(arguments), "model": arguments.teacher}), amp=arguments.amp)
    model = build_task(config, device).model.requires_grad_(False).eval()
    assert isinstance(model, SkeletonClassifier)
    return Teacher(path=arguments.teacher, fingerprint="", config=config, model=model, accuracy=float("nan"))


# --- steps


def build_tasks(setup: Setup) -> dict[str, Classification]:
    """Return the tasks of the three kinds of step, with equal students."""
    return {
        PLAIN: build_task(setup.config, setup.device),
        LIVE: _distilled(setup, setup.live),
        CACHED: _distilled(setup, random_cache(setup)),
    }


def batches_of_views(setup: Setup) -> list[Batch]:
    """Return a batch of each cached augmented view, on the device: the first batch of each of that many epochs."""
    batches = []
    for epoch in range(setup.config.distillation.fixed_augmentations):
        setup.data.sampler.epoch = epoch
        batches.append(next(iter(setup.data.loader)).to(setup.device))
    return batches


def random_cache(setup: Setup) -> CachedTeachers:
    """Return a memory-mapped cache of all clips and augmented views, with random values."""
    indices, form = setup.data.sampler.indices, setup.live.clip_shapes
    random = np.random.default_rng(setup.config.seed)
    shape = (len(indices), setup.config.distillation.fixed_augmentations, form.width)
    np.save(setup.folder / "outputs.npy", random.standard_normal(shape, dtype=np.float32))
    return CachedTeachers(OutputFolder(setup.folder, {}, shape).open(), form, indices, setup.device)


def _distilled(setup: Setup, source: OutputSource) -> Distillation:
    """Return the distillation task of a student with the plain student's weights."""
    student = build_task(setup.config, setup.device).model
    return Distillation(student, setup.config, source, [setup.teacher]).to(setup.device)


def _step(setup: Setup, task: Classification, batches: Sequence[Batch]) -> Way:
    """Return a function that makes the next training step, cycling through the batches."""
    learner = Learner(setup.config, task, setup.device)
    rounds = cycle([(batch, note_of(batch)) for batch in batches])

    def run() -> None:
        batch, note = next(rounds)
        learner.learn(setup.data.pipeline(batch, training=True), batch, note)

    return run


# --- building


def cache_building(setup: Setup) -> Way:
    """Return a function that builds a new cache of one augmented view per clip, as a run with --cached does."""
    caches = count()

    def run() -> None:
        cache = str(setup.folder / f"cache{next(caches)}")
        wanted = replace(setup.config.distillation, cached=True, fixed_augmentations=1, cache=cache)
        config = replace(setup.config, distillation=wanted)
        cached_outputs(config, setup.data, setup.live, RunContext(setup.device))

    return run


# --- figures


def _result(taken: dict[str, list[float]], builds: list[float], setup: Setup, arguments: Namespace) -> Result:
    clips = len(setup.data.sampler.indices)
    steps: list[dict[str, Any]] = [
        {
            "way": way,
            "milliseconds": spread(times, 1e3),
            "clips_per_second": arguments.batch / statistics.median(times),
            "ratio": ratio(times, taken[PLAIN]),
        }
        for way, times in taken.items()
    ]
    built: dict[str, Any] = {
        "clips": clips,
        "seconds": spread(builds),
        "milliseconds_per_clip": 1e3 * statistics.median(builds) / clips,
        "clips_per_second": clips / statistics.median(builds),
    }
    summary = {
        "live_times_plain": ratio(taken[LIVE], taken[PLAIN]),
        "cached_times_plain": ratio(taken[CACHED], taken[PLAIN]),
        "clips_per_second": {row["way"]: row["clips_per_second"] for row in steps},
        "building_clips_per_second": built["clips_per_second"],
    }
    where = f"{', '.join(setup.live.precisions)}, {setup.device.type}"
    title = (
        f"{arguments.model} distilled from {arguments.teacher}, "
        f"batch {arguments.batch}, {arguments.frames} frames, {where}"
    )
    tables = [
        Table("rows", title, _STEPS, steps),
        Table("cache", f"teacher outputs of {arguments.teacher} for one augmented view of each clip", _BUILDS, [built]),
    ]
    remarks = [
        f"The cache holds {arguments.fixed_augmentations} augmented views of {clips:,} clips; the steps do not "
        "include reading a batch's clips. Building a cache includes reading, deriving streams and writing."
    ]
    return Result(tables, summary, remarks)
