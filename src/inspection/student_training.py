"""Short trainings of a small student on any clips of a store, without files, to learn something about the clips.

Legend: N clips, K classes.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.loading.loader import Batch, build_loader
from ..data.loading.pipeline import InputPipeline
from ..data.loading.placement import Placement, place_clips
from ..data.loading.run_data import part_for_testing, sample_for_statistics, training_dataset
from ..data.loading.samplers import TrainSampler
from ..data.store.reader import Store, open_store
from ..evaluation.population_statistics import PopulationStatistics
from ..evaluation.scoring import score_batches
from ..models.registry import build_model, family_config
from ..runtime.distributed import ALONE
from ..runtime.precision import choose_device
from ..settings.data import DataConfig, SamplingConfig
from ..settings.run import RunConfig
from ..training.classification import Classification
from ..training.guard import BatchId
from ..training.step import LocalBatch, TrainingStep, seed_step
from ..training.train_state import TrainState
from ..utils.config import Layer, merge, section_layer
from ..utils.errors import TrainingDiverged, UserError
from ..utils.model_files import model_layer

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

# In the same time this one makes more updates than nano_e as it is, and was right more often.
_MODEL = "nano_e"
_SMALLER = {"blocks": [1, 1, 1], "attention": [False, False, False]}
_FRAMES = 16
_BATCH = 32
_LEARNING_RATE = 0.1
_LARGEST_IN_MEMORY = 1 << 28  # bytes; each process has its own copy
_WARM_UP_STEPS, _TIMED_STEPS = 2, 6
_TIMINGS = 3  # since another program may be busy during one of them


def student_settings(data: DataConfig) -> RunConfig:
    """Return the settings of the student's trainings, with the normalisation and augmentation of a data set."""
    layer = section_layer(model_layer(_MODEL), "model")
    model = merge(family_config(layer.values["family"]), [layer, Layer("students", _SMALLER)])
    return RunConfig(
        model=model,
        data=replace(data, sampling=SamplingConfig()),
        input_frames=_FRAMES,
        batch_size=_BATCH,
        learning_rate=_LEARNING_RATE,
        warmup_learning_rate=_LEARNING_RATE / 10,
    )


@dataclass(frozen=True)
class Trial:
    """One student: what it is trained on and tested on.

    Attributes:
        train, test: numbers of clips in the store.
        updates: how many updates it makes.
        seed: of its weights, order and augmentation.
    """

    train: Integers
    test: Integers
    updates: int
    seed: int


@dataclass(frozen=True)
class TrialJob:
    """A trial for another process: what it needs, and the file for its result.

    Attributes:
        trial: the trial.
        store: the folder of the store.
        data: the settings of the data set.
        labels: (N,) the labels to learn.
        result: an array file to write the probabilities to.
    """

    trial: Trial
    store: Path
    data: DataConfig
    labels: Integers
    result: Path


def run_trial(job: TrialJob) -> None:
    """Train and test the student of a trial in this process, on one core, and write its probabilities."""
    torch.set_num_threads(1)
    students = Students.of(open_store(job.store, verify=False), job.data, job.labels)
    np.save(job.result, students.probabilities(job.trial))


def clips_per_second(store: Store, config: RunConfig, clips: Integers) -> float:
    """Return how many clips a training processes in a second on this machine, from a few steps that are not kept.

    Args:
        store: the clips.
        config: the settings of the training.
        clips: (n,) the numbers of those that it trains on.
    """
    device = choose_device(config.device)
    labels = torch.from_numpy(store.clips["label"].astype(np.int64))
    placement = place_clips(store, _where(store), device, min_confidence=config.data.min_confidence)
    students = Students(config, store, labels, placement, device)
    seconds = float(np.median([students.step_seconds(clips) for _ in range(_TIMINGS)]))
    return min(config.batch_size, len(clips)) / seconds


def _where(store: Store) -> str:
    return "auto" if store.joints.nbytes <= _LARGEST_IN_MEMORY else "disk"


@dataclass(frozen=True)
class Students:
    """Students of one store.

    Attributes:
        config: the settings of each training.
        store: the clips.
        labels: (N,) the labels to learn, which may differ from those of the store.
        placement: where the clips are kept.
        device: where the students are trained.
    """

    config: RunConfig
    store: Store
    labels: torch.Tensor
    placement: Placement
    device: torch.device

    @classmethod
    def of(cls, store: Store, data: DataConfig, labels: Integers) -> "Students":
        """Load the clips of a store for students, from its files in case they are many."""
        config = student_settings(data)
        device = choose_device(config.device)
        placement = place_clips(store, _where(store), device, min_confidence=data.min_confidence)
        return cls(config, store, torch.from_numpy(labels), placement, device)

    def probabilities(self, trial: Trial) -> Floats:
        """Train a student and return its probabilities for the tested clips, (n, K).

        A clip that cannot be scored has NaN for every class.

        Raises:
            UserError: the student diverged, or the store's files cannot be read.
        """
        updates, seed = trial.updates, trial.seed
        config = replace(self.config, epochs=updates, warmup_epochs=updates // 7, seed=seed)
        state, sampler = self._state(config), TrainSampler(trial.train, config.batch_size, seed)
        try:
            for _ in self._updates(state, sampler, config, updates):
                pass
        except TrainingDiverged as error:
            raise UserError(f"The training of a student diverged: {error}") from error
        return self._scores(state, config, sampler, trial.test)

    def step_seconds(self, clips: Integers) -> float:
        """Return the seconds of a training step on these clips, from a few steps of a student that is not kept."""
        config = replace(self.config, epochs=1000)
        sampler = TrainSampler(clips, config.batch_size, config.seed)
        began = 0.0
        for number, _ in enumerate(self._updates(self._state(config), sampler, config, _WARM_UP_STEPS + _TIMED_STEPS)):
            began = time.perf_counter() if number + 1 == _WARM_UP_STEPS else began
        return (time.perf_counter() - began) / _TIMED_STEPS

    def _state(self, config: RunConfig) -> TrainState:
        torch.manual_seed(config.seed)
        model = build_model(config.model, len(self.store.classes), self.store.skeleton)
        return TrainState(config, Classification(model, config.label_smoothing).to(self.device), self.device, ALONE)

    def _updates(self, state: TrainState, sampler: TrainSampler, config: RunConfig, updates: int) -> Iterator[None]:
        """Make `updates` updates and yield after each; the learning rate follows its schedule update by update."""
        step, pipeline = TrainingStep(state), InputPipeline(config.data, self.store.skeleton)
        clips = training_dataset(config.data, config.input_frames, self.store, self.placement.clips)
        loader = build_loader(clips, sampler, config.hardware, self.placement.on_device)
        state.task.train()
        for number, batch in zip(range(updates), self._batches(loader, sampler), strict=False):
            seed_step(config.seed, number, 0, 0)
            own = LocalBatch(len(batch), len(batch))
            prepared = pipeline.prepared(batch.to(self.device), training=True)
            prepared = replace(prepared, labels=self.labels[batch.indices.cpu()].to(self.device))
            step(prepared.streams, prepared, own, closes=True, metrics=state.epoch.metrics)
            step.note(BatchId(batch.indices, batch.rng_keys))
            state.guard.read()
            state.schedule.step()
            yield

    def _batches(self, loader: Iterable[Batch], sampler: TrainSampler) -> Iterator[Batch]:
        while True:
            yield from loader
            sampler.epoch += 1

    def _scores(self, state: TrainState, config: RunConfig, sampler: TrainSampler, test: Integers) -> Floats:
        pipeline, precision = InputPipeline(config.data, self.store.skeleton), state.precision
        clips = training_dataset(config.data, config.input_frames, self.store, self.placement.clips)
        sample = sample_for_statistics(clips, sampler.indices, config.batch_size, config.hardware, self.placement)
        part = part_for_testing(config, self.store, test, placement=self.placement)
        model = state.task.eval().model
        population = PopulationStatistics(model, sample, pipeline, self.device, precision=precision)
        with population.applied(population.measure()):
            scores = [each.double().cpu() for _, each in score_batches(model, part, pipeline, self.device, precision)]
        found = torch.cat(scores).numpy()
        return np.where(np.isfinite(found).all(axis=1, keepdims=True), found, np.nan)
