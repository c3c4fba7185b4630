"""Runs on a simulated GPU: an epoch of training and a test, with fake tensors whose device is `cuda:0`.

`python stand_in_runs.py GUARD CASES RESULTS` runs the pickled cases and writes as JSON the faults and the operations of
each. Fake tensors have shapes, types and a device, but no values, so an operation on tensors of two
devices and a value that the host reads are errors; this module detects what waits without reading a value, a copy.
"""

import ctypes
import sys

if __name__ == "__main__":
    ctypes.CDLL(sys.argv[1])  # before torch, which would decide that there is no CUDA

import json
import math
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from last.data.loading import augment
from last.data.loading.loader import ClipDataset
from last.data.loading.placement import TensorClipReader
from last.data.loading.run_data import TestPart, TrainingData, training_data, training_dataset
from last.data.loading.samplers import BatchIndices
from last.data.store.find_store import find_store
from last.data.store.reader import Store
from last.distillation import cache
from last.distillation.cache import CachedTeachers
from last.distillation.task import Distillation
from last.distillation.teacher_outputs import OutputSource
from last.distillation.teachers import LiveTeachers, Teacher, load_teachers
from last.evaluation import scoring
from last.models.classifier import SkeletonClassifier
from last.models.registry import build_model
from last.runs.folder import RunFolder
from last.runtime.async_reader import DelayedReader
from last.runtime.distributed import ALONE
from last.runtime.run_context import RunContext
from last.settings.run import RunConfig
from last.skeleton import Layout
from last.training import trainer, whole_step
from last.training.classification import Classification
from last.training.epoch_metrics import EpochFigures, EpochMetrics
from last.training.trainer import Trainer

GPU = torch.device("cuda", 0)

# What reads values on the host: `item`, branches on a tensor, indices by a mask, outputs whose size depends on values.
READING = {
    "_local_scalar_dense",
    "is_nonzero",
    "nonzero",
    "masked_select",
    "equal",
    "unique_consecutive",
    "_unique2",
    "bincount",
}

# What a run can have beside the defaults, and in every step.
RICH = [
    *("ema.decay=0.9", "gradient_accumulation_steps=2", "data.normalize.face_camera=true", "data.normalize.scale=unit"),
    *("data.augment.scale=0.1", "data.augment.shear=0.1", "data.augment.mirror_probability=0.5"),
    *("data.augment.mix_add=0.4", "data.augment.mix_splice=0.3", "data.augment.mix_axes=0.3"),
    *("data.augment.drift_metres=0.02", "data.augment.time_warp=0.3", "data.augment.mask_crop=0.5"),
    "model.drop_path=0.1",
]


@dataclass(frozen=True)
class Case:
    """A run, and what is planted in it: a name of `PLANTS`."""

    config: RunConfig
    plant: str = ""


class Waits(Exception):
    """An operation makes the host wait, or takes tensors of two devices."""


class Watch(TorchDispatchMode):
    """Refuse what makes the host wait for the device and what mixes devices; count the operations."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        name, options = function.overloadpacket.__name__, options or {}
        if name == "device":  # called very often
            return function(*arguments)
        self.seen[name] += 1
        given = [each for each in tree_leaves((arguments, options)) if isinstance(each, Tensor)]
        masks = name in ("index", "index_put", "index_put_") and torch.bool in {each.dtype for each in given[1:]}
        if name in READING or masks:
            raise Waits(f"{name} makes the host wait for the device")
        if name in ("_to_copy", "copy_"):
            _refuse_waiting_copy(name, arguments, options)
        else:
            devices = {each.device.type for each in given}
            if len(devices) > 1:
                raise Waits(f"{name} takes tensors on {' and '.join(sorted(devices))}")
        if name == "_fused_sgd_":
            return None  # changes its arguments alone, and torch has no fake of it
        return function(*arguments, **options)


def _refuse_waiting_copy(name: str, arguments: Any, options: Any) -> None:
    """Refuse a copy between devices that the host waits for: any except a non-blocking one into pinned memory."""
    if name == "copy_":
        target, source = arguments[0].device, arguments[1].device
        goes_on = bool(arguments[2:3] == (True,) or options.get("non_blocking"))
    else:
        target, source = torch.device(options.get("device") or arguments[0].device), arguments[0].device
        goes_on = bool(options.get("non_blocking")) and target.type == "cuda"  # a new tensor on the host is not pinned
    if target.type != source.type and not goes_on:
        raise Waits(f"{name} from {source.type} to {target.type} makes the host wait for the device")


class Event:
    """A replacement of torch.cuda.Event."""

    def record(self) -> None:
        pass

    def synchronize(self) -> None:
        pass


def _unread(reader: DelayedReader[Any]) -> tuple[list[float], Any]:
    """Replace the reader of arrived messages: nothing was bad."""
    entry = reader._entries.popleft()
    assert entry.copied is not None and entry.values.device.type == "cpu"
    return [0.0] * len(entry.values), entry.note


def stand_in() -> None:
    """Make torch behave as if there were a GPU, and skip the few places that are meant to wait for it."""
    fake_tensor.init_gpu_context = lambda _: None
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    torch.cuda.is_bf16_supported = lambda *_: True
    torch.cuda.get_device_capability = lambda *_: (9, 0)
    torch.cuda.get_device_name = lambda *_: "a stand-in"
    torch.cuda.is_current_stream_capturing = lambda: False
    torch.cuda.Event = Event
    cache.room_on = lambda *_: math.inf
    trainer.peak_memory_mib = lambda _: 0.0
    whole_step.WholeStep._compute_beside = whole_step.WholeStep._compute  # nothing is recorded here
    whole_step._STEPS_BEFORE = 1000
    DelayedReader._take = _unread
    EpochMetrics.read = lambda metrics, _: EpochFigures(1.0, (50.0, 50.0), 1.0, (0.0,) * metrics._terms)
    EpochMetrics.confusion = lambda metrics, _: np.zeros((metrics._classes, metrics._classes + 1), np.int64)
    scoring._refuse = lambda *_: None
    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)  # for SyncBatchNorm alone


def run(case: Case) -> tuple[str, list[str]]:
    """Return what is wrong with a run, empty where nothing is, and the names of the operations that it had."""
    config = case.config
    store = find_store(config.data, Path(config.data_root))
    _, teachers = load_teachers(config, ALONE)
    data = _gathered(training_data(config, store))
    with fake_tensor.FakeTensorMode(allow_non_fake_inputs=True), planted(case.plant):
        task = _task(config, teachers, data)
        if config.distributed.sync_batchnorm:
            task.model = nn.SyncBatchNorm.convert_sync_batchnorm(task.model)
        learner = Trainer(
            config, task, data, run=RunFolder(Path(config.output_root) / "run"), run_context=RunContext(GPU)
        )
        assert {each.device for each in learner.task.state_dict().values()} == {GPU}
        resident, draw = _resident(config, store)
        learner.pace.begin()
        with Watch() as watch:
            try:
                resident.batch(draw, body_slots=draw.indices)
                learner._train_epoch()
                learner._evaluate()
            except Exception as error:  # any error is the result
                return f"{type(error).__name__}: {error}", []
    return "", sorted(watch.seen)


def _gathered(data: TrainingData) -> TrainingData:
    """Return the data with their batches put together already, as workers do it."""
    test = TestPart([list(loader) for loader in data.test.loaders], data.test.num_clips)
    return replace(data, loader=list(data.loader), sample=list(data.sample), test=test)


def _task(config: RunConfig, teachers: Sequence[Teacher], data: TrainingData) -> Classification:
    """Return what a run minimises; a module of real tensors, which become fake where it is moved."""
    live = LiveTeachers(teachers, config.distillation.method, GPU) if teachers else None
    source: OutputSource | None = live
    if live is not None and config.distillation.cached:
        outputs = torch.zeros(
            len(data.sampler.indices), config.distillation.fixed_augmentations, live.clip_shapes.width
        )
        source = CachedTeachers(outputs, live.clip_shapes, data.sampler.indices, GPU)
    with unset_fake_temporarily():
        model = build_model(config.model, len(data.classes), config.data.skeleton)
        if source is None:
            return Classification(model, config.label_smoothing)
        return Distillation(model, config, source, teachers)


def _resident(config: RunConfig, store: Store) -> tuple[ClipDataset, BatchIndices]:
    """Return clips on the device, and the indices of some of them."""
    joints, valid = torch.zeros(store.joints.shape), torch.zeros(store.valid.shape, dtype=torch.bool)
    lying = TensorClipReader(joints.to(GPU), valid.to(GPU))
    numbers = torch.zeros(4, dtype=torch.int64, device=GPU)
    return training_dataset(config.data, config.input_frames, store, lying), BatchIndices(numbers, numbers)


def _mirror_by_an_element(joints: Tensor, layout: Layout) -> Tensor:
    sign = torch.ones(joints.shape[1], device=joints.device)
    sign[0] = -1.0
    return joints.flip(3) * sign[:, None, None, None]


def _looking_forward(model: SkeletonClassifier, *inputs: Any, check_values: bool = False, **more: Any) -> Any:
    return _FORWARD(model, *inputs, check_values=True, **more)


def _loss(fault: Callable[[Tensor], Tensor]) -> tuple[Any, str, Callable[..., Tensor]]:
    """Return the fault of a loss, of logits (N, classes)."""
    return Classification, "label_loss", lambda _, logits, __: fault(logits)


_FORWARD = SkeletonClassifier.forward

# Faults by name: what is replaced, where, and by what.
PLANTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "a value that is read": _loss(lambda logits: logits.sum() * logits.max().item()),
    "a branch": _loss(lambda logits: logits.sum() if logits.max() > 0 else logits.mean()),
    "a mask as an index": _loss(lambda logits: logits[logits > 0].sum()),
    "a copy to the host": _loss(lambda logits: logits.cpu().sum()),
    "a tensor of the host": _loss(lambda logits: (logits + torch.ones(3)).sum()),
    "a number of the host": _loss(lambda logits: (logits * torch.ones(())).sum()),
    "an element that is set": (augment, "mirror", _mirror_by_an_element),
    "a look at tested clips": (SkeletonClassifier, "forward", _looking_forward),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Put the fault of a name in while the block runs."""
    if not name:
        yield
        return
    place, attribute, fault = PLANTS[name]
    sound = getattr(place, attribute)
    setattr(place, attribute, fault)
    try:
        yield
    finally:
        setattr(place, attribute, sound)


if __name__ == "__main__":
    torch.set_num_threads(1)
    stand_in()
    cases: dict[str, Case] = pickle.loads(Path(sys.argv[2]).read_bytes())  # noqa: S301 - the test's own file
    Path(sys.argv[3]).write_text(json.dumps({name: run(case) for name, case in cases.items()}))
