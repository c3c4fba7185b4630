"""One of several processes: it joins the others, does tasks with them, and writes the results.

    RANK=0 WORLD_SIZE=2 MASTER_ADDR=... MASTER_PORT=... python distributed_probe.py TASKS.json FOLDER

It computes in float64, so that rounding is not mistaken for a defect, nor a defect for rounding. Each process has an
output folder of its own, as if each were on its own machine.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import PropertyMock, patch

import torch
from torch import Tensor, nn

from last.cli import main
from last.data.loading import run_data as training_data_module
from last.data.loading.loader import Batch, ClipDataset
from last.data.loading.pipeline import InputPipeline
from last.data.loading.samplers import BatchIndices
from last.evaluation.population_statistics import PopulationStatistics
from last.experiments import run as experiment
from last.experiments.config import resolve
from last.models.cpu_kernels import fast_kernels
from last.models.registry import build_model
from last.runs.logbook import Logbook
from last.runtime.distributed import joined, rank
from last.runtime.stop_requests import Stop, StopWatch
from last.training import classification
from last.training.trainer import Trainer
from last.utils.errors import UserError

BAD_CLIP = 3
BATCHES_BEFORE_STOP = 7
_TRAINERS: list[Trainer] = []


class ExactPipeline(InputPipeline):
    """Streams in float64."""

    def prepared(self, batch: Batch, training: bool) -> Batch:
        ready = super().prepared(batch, training)
        return ready.with_streams({name: each.double() for name, each in ready.streams.items()})


class WatchedTrainer(Trainer):
    """A trainer whose state is kept for the test."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.refusal = ""  # the error of another trainer of the run
        _TRAINERS.append(self)

    def fit(self, logbook: Logbook | None) -> Stop | None:
        """Train, and see before that whether another trainer could have the run."""
        try:
            with self.run.locked():
                pass
        except UserError as error:
            self.refusal = str(error)
        return super().fit(logbook)


def exact_model(*arguments: Any, **options: Any) -> nn.Module:
    """Build a model in float64."""
    return build_model(*arguments, **options).double()


@contextmanager
def float64() -> Iterator[None]:
    """Make `experiment.train` compute in float64 while the block runs."""
    with ExitStack() as patches:
        patches.enter_context(patch.object(classification, "build_model", exact_model))
        patches.enter_context(patch.object(experiment, "Trainer", WatchedTrainer))
        patches.enter_context(patch.object(training_data_module, "InputPipeline", ExactPipeline))
        yield


@contextmanager
def _reading(change: Callable[[int, Batch], None]) -> Iterator[None]:
    """Call `change` with the number of every training batch that this process reads, from 1, and with the batch.

    Those that BatchNorm's statistics are measured over for testing are none.
    """
    read, count, measuring = ClipDataset.__getitem__, 0, False
    measure = PopulationStatistics.measure

    def measure_apart(population: PopulationStatistics) -> dict[str, Tensor]:
        nonlocal measuring
        measuring = True
        found = measure(population)
        measuring = False
        return found

    def read_and_change(clips: ClipDataset, draw: BatchIndices) -> Batch:
        nonlocal count
        batch = read(clips, draw)
        if clips.training and not measuring:
            count += 1
            change(count, batch)
        return batch

    with (
        patch.object(ClipDataset, "__getitem__", read_and_change),
        patch.object(PopulationStatistics, "measure", measure_apart),
    ):
        yield


@contextmanager
def _bad_clip() -> Iterator[None]:
    """Make a value of one clip NaN, in whichever process has it."""

    def spoil(_number: int, batch: Batch) -> None:
        batch.joints[batch.indices == BAD_CLIP, 0, 0, 0, 0] = float("nan")

    with _reading(spoil):
        yield


@contextmanager
def _signal() -> Iterator[None]:
    """Send SIGTERM to the second process alone, in the middle of an epoch: twice, as a scheduler and torchrun do."""

    def send(number: int, _batch: Batch) -> None:
        if number == BATCHES_BEFORE_STOP and rank() == 1:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)

    with _reading(send):
        yield


@contextmanager
def _end_of_time() -> Iterator[None]:
    """Make only the second process reach its time limit, in the middle of an epoch."""
    over = PropertyMock(return_value=False)

    def pass_time(number: int, _batch: Batch) -> None:
        over.return_value = number >= BATCHES_BEFORE_STOP and rank() == 1

    with _reading(pass_time), patch.object(StopWatch, "is_over", over):
        yield


@contextmanager
def _death() -> Iterator[None]:
    """Kill the second process in the middle of an epoch."""

    def die(number: int, _batch: Batch) -> None:
        if number == BATCHES_BEFORE_STOP and rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    with _reading(die):
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


FAULTS = {"": _nothing, "bad clip": _bad_clip, "signal": _signal, "time": _end_of_time, "death": _death}


def train(task: Mapping[str, Any], output_root: Path) -> dict[str, Any]:
    """Train as described by a task and return the state of this process."""
    config = resolve(recipe=task["config"], flags={"output_root": str(output_root)})
    resume = task.get("resume", "")
    if resume:
        (resume,) = map(str, Path(resume).glob("run-*"))
    with float64(), FAULTS[task.get("fault", "")]():
        result = experiment.train(config, resume=resume)
    trainer = _TRAINERS[-1]
    momenta = [state["momentum_buffer"] for state in trainer.state.optimizer.state.values()]
    return {
        "run": str(result.run.path),
        "stopped": "" if result.stopped is None else result.stopped.name,
        "model": {name: each.clone() for name, each in trainer.model.state_dict().items()},
        "momenta": [each.clone() for each in momenta],
        "skips": dict(vars(trainer.state.guard.skips)),
        "refusal": trainer.refusal,
    }


def command(task: Mapping[str, Any], output_root: Path) -> dict[str, Any]:
    """Run a command as a user would, and return its exit code and all that it wrote on stdout and stderr."""
    spoken = output_root.with_suffix(".txt")
    with spoken.open("w") as file:
        kept = [os.dup(1), os.dup(2)]
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        teachers = [str(path) for pattern in task.get("teachers", []) for path in Path("/").glob(pattern[1:])]
        options = [option for teacher in teachers for option in ("--teacher", teacher)]
        program = "distill" if teachers else "train"
        words = [program, "--config", task["config"], "--output_root", str(output_root), *options, *task["command"]]
        with FAULTS[task.get("fault", "")]():
            code = main(words)
        sys.stdout.flush()
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
    return {"code": code, "spoken": spoken.read_text()}


def run_tasks(tasks: Path, folder: Path) -> None:
    """Do the tasks with the other processes and write this one's results.

    The processes join before the first task, unless that is one of joining by itself, as commands do.
    """
    torch.set_num_threads(1)
    own = folder / f"rank{rank()}"
    own.mkdir()
    results = {}
    todo = json.loads(tasks.read_text())
    with nullcontext() if todo[0].get("joins") else joined(torch.device("cpu"), timeout_minutes=10):
        for task in todo:
            do = command if "command" in task else train
            results[task["name"]] = do(task, own / task["name"])
    torch.save(results, own / "results.pt")


def run_in_each(size: int, tasks: Path, folder: Path) -> int:
    """Run the tasks in `size` forked processes, which share the imports; return 0 if all of them did."""
    fast_kernels()  # which the commands import
    children = []
    for number in range(size):
        child = os.fork()
        if child == 0:
            os.environ.update(RANK=str(number), LOCAL_RANK=str(number))
            code = 1
            try:
                run_tasks(tasks, folder)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    return int(max(os.waitpid(child, 0)[1] for child in children) > 0)


if __name__ == "__main__":
    given = Path(sys.argv[1]), Path(sys.argv[2])
    if "RANK" in os.environ:
        run_tasks(*given)
    else:
        sys.exit(run_in_each(int(os.environ["WORLD_SIZE"]), *given))
