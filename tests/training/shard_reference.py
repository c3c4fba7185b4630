"""Training by several processes, written down as a plain loop of one: what they have to come to.

Each batch is cut into contiguous shards, as many as there are processes. Every shard passes the model from the same
running statistics and is normalised by itself; losses are weighted by clips, statistics averaged by clips.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from last.data.loading import counter_rng as counter
from last.data.loading.loader import ClipDataset
from last.data.loading.pipeline import InputPipeline
from last.data.loading.samplers import BatchIndices, TrainSampler
from last.data.store.find_store import find_store
from last.data.store.protocols import split
from last.models.registry import build_model
from last.settings.run import RunConfig
from last.training.optim import split_for_decay


class ShardReference:
    """Train in float64, epoch by epoch.

    Args:
        config: a run without dropout and too short for a warm-up.
        shards: in how many shards the batch with a number, counted from 0 over the whole run, is cut.
    """

    def __init__(self, config: RunConfig, shards: Callable[[int], int]) -> None:
        self.config, self.shards, self.batches = config, shards, 0
        store = find_store(config.data, Path(config.data_root))
        self.parts = split(store.clips, config.data, config.data.split)
        self.sampler = TrainSampler(self.parts.train, config.batch_size, config.seed, config.repeats_per_epoch)
        self.clips = {
            training: ClipDataset(store, config.input_frames, config.data.sampling, training=training)
            for training in (True, False)
        }
        self.pipeline = InputPipeline(config.data)
        torch.manual_seed(config.seed)
        self.model = build_model(config.model, len(config.data.classes), config.data.layout).double()
        self.norms = [each for each in self.model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
        groups = zip(split_for_decay(self.model), (config.weight_decay, 0.0), strict=True)
        self.optimizer = torch.optim.SGD(
            [{"params": each, "weight_decay": decay} for each, decay in groups],
            lr=config.learning_rate, momentum=config.momentum, nesterov=True, foreach=False, fused=False,
        )  # fmt: skip

    def fit(self) -> list[dict[str, float]]:
        """Train to the end and return the figures of each epoch."""
        return [{**self._train_epoch(epoch), **self._test()} for epoch in range(self.config.epochs)]

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        config, self.sampler.epoch = self.config, epoch
        share = (1 + math.cos(math.pi * epoch / config.epochs)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = config.min_learning_rate + (config.learning_rate - config.min_learning_rate) * share
        draws, sums = list(self.sampler), _Sums()
        for start in range(0, len(draws), config.gradient_accumulation_steps):
            window = draws[start : start + config.gradient_accumulation_steps]
            clips = sum(len(draw.indices) for draw in window)
            self.optimizer.zero_grad()
            for draw in window:
                self._add_gradient(draw, clips, sums)
            nn.utils.clip_grad_norm_(self.model.parameters(), config.grad_clip)
            self.optimizer.step()
        return sums.averages("train")

    def _add_gradient(self, draw: BatchIndices, window_clips: int, sums: "_Sums") -> None:
        """Add the gradient of one batch, shard by shard, as its part of the window's mean."""
        self.model.train()
        shards, clips = self.shards(self.batches), len(draw.indices)
        self.batches += 1
        before, after = self._statistics(), [torch.zeros_like(each) for each in self._statistics()]
        for shard in range(shards):
            part = slice(clips * shard // shards, clips * (shard + 1) // shards)
            own = part.stop - part.start
            if own == 0:
                continue
            self._set_statistics(before)
            logits, labels = self._logits(BatchIndices(draw.indices[part], draw.rng_keys[part]), training=True)
            loss = functional.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
            (loss * own / window_clips).backward()
            sums.add(loss, logits, labels)
            after = [mean + own / clips * each for mean, each in zip(after, self._statistics(), strict=True)]
        self._set_statistics(after)

    def _logits(self, draw: BatchIndices, training: bool) -> tuple[Tensor, Tensor]:
        batch = self.clips[training][draw]
        streams = {name: each.double() for name, each in self.pipeline(batch, training=training).items()}
        return self.model(streams, batch.bodies, batch.body_slots), batch.labels

    @torch.no_grad()
    def _test(self) -> dict[str, float]:
        """Test with BatchNorm statistics of all training clips, since running ones lag in so short a run."""
        running = self._statistics()
        for norm in self.norms:
            norm.momentum = 1.0
        numbers = torch.from_numpy(self.parts.train)
        self._logits(BatchIndices(numbers, counter.fixed_keys(numbers, 0)), training=True)
        self.model.eval()
        numbers, sums = torch.from_numpy(self.parts.test), _Sums()
        logits, labels = self._logits(BatchIndices(numbers, numbers), training=False)
        sums.add(functional.cross_entropy(logits, labels), logits, labels)
        self._set_statistics(running)
        for norm in self.norms:
            norm.momentum = 0.1
        return sums.averages("test")

    def _statistics(self) -> list[Tensor]:
        return [each.clone() for norm in self.norms for each in (norm.running_mean, norm.running_var)]

    def _set_statistics(self, values: list[Tensor]) -> None:
        places: list[Any] = [each for norm in self.norms for each in (norm.running_mean, norm.running_var)]
        for place, value in zip(places, values, strict=True):
            place.copy_(value)


class _Sums:
    def __init__(self) -> None:
        self.clips, self.loss, self.hits = 0, 0.0, 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.clips += len(labels)
        self.loss += loss.item() * len(labels)
        self.hits += int((logits.argmax(dim=1) == labels).sum())

    def averages(self, part: str) -> dict[str, float]:
        return {f"{part}_loss": self.loss / self.clips, f"{part}_top1": 100 * self.hits / self.clips}
