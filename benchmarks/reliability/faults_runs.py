"""Short trainings as a user starts them, and the comparison of two finished runs bit by bit."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from last.data.store.clip import Clip
from last.data.store.reader import write_store
from last.runs.checkpoint import Checkpoint, read_checkpoint
from last.runs.folder import RunFolder
from last.runs.logbook import read_rows
from last.utils.dotted_keys import flatten
from last.utils.files import read_json

CLASSES = ["rise", "fall", "still"]
CLIPS = 48
_TIMINGS = ("seconds", "clips_per_second", "data_wait_share", "memory_mib", "train_seconds", "finished")
_ABOUT_THE_CODE = ("git_commit",)  # a commit may be made while this runs
_PATHS = ("output_root", "data_root", "max_hours")
_TINY = ("input_frames=8", "model.channels=[8,8,8]", "model.blocks=[1,1,1]", "tensorboard=false", "learning_rate=0.05")
_ALWAYS_SAVING = "checkpoint.every_minutes=1e-9"
_COMPARABLE = ("model.dropout=0", "model.block_dropout=0", "gradient_accumulation_steps=2", _ALWAYS_SAVING)


@dataclass(frozen=True)
class Setup:
    """One short training.

    Attributes:
        name: its name in the output.
        model: the choice of `--model`.
        epochs, batch_size: its length.
        settings: `--set` texts in addition to those that make it tiny.
        processes: more than one are started by torchrun.
        frozen: whether BatchNorm normalises by its running statistics, which are the same in every process.
    """

    name: str
    model: str
    settings: tuple[str, ...] = ()
    epochs: int = 5
    batch_size: int = 3
    processes: int = 1
    frozen: bool = False


ACCUMULATING = Setup(
    "accumulation, EMA, saved at every step",
    "nano_e",
    ("gradient_accumulation_steps=2", "ema.decay=0.5", "checkpoint.keep=2", _ALWAYS_SAVING),
)
PLAIN = Setup("plain, saved at the end of epochs", "nano_e", ("checkpoint.every_minutes=0",), epochs=6)
SECOND_VERSION = Setup(
    "LAST-v2, saved at every step", "small", ("model.heads=2", "validation=split", _ALWAYS_SAVING), epochs=4
)
WORKERS = Setup("two loader workers, saved at every step", "nano_e", ("hardware.num_workers=2", _ALWAYS_SAVING))
KILLED = (ACCUMULATING, PLAIN, SECOND_VERSION, WORKERS)
FULL_DISK = Setup("full disk", "nano_e", ("ema.decay=0.9", _ALWAYS_SAVING), epochs=20)
TWO_PROCESSES = Setup(
    "two processes", "nano_e", ("gradient_accumulation_steps=2", _ALWAYS_SAVING), epochs=12, batch_size=4, processes=2
)
TWO_COMPARABLE = Setup("two comparable processes", "nano_e", _COMPARABLE, batch_size=4, processes=2, frozen=True)
ONE_COMPARABLE = Setup("one comparable process", "nano_e", _COMPARABLE, batch_size=4, frozen=True)


def moving_clips() -> Iterator[Clip]:
    """Yield clips whose class is the direction in which a body moves; odd clips have a second body."""
    generator = np.random.default_rng(0)
    for number in range(CLIPS):
        label, bodies, frames = number % len(CLASSES), 1 + number % 2, 12 + number % 5
        joints = generator.normal(size=(bodies, 1, 25, 3)).repeat(frames, axis=1)
        joints[..., 1] += (1.0, -1.0, 0.0)[label] * np.linspace(0, 3, frames)[None, :, None]
        frame_mask = np.ones((bodies, frames), np.bool_)
        subject = 1 + number // (CLIPS // 2)
        yield Clip(f"clip{number:02}", joints.astype(np.float32), frame_mask, label, subject=subject, camera=1)


def prepare_data(folder: Path) -> Path:
    """Write a tiny data set into `folder` and return its data YAML; half of its clips are for training."""
    write_store(folder / "data" / "tiny", moving_clips(), name="tiny", layout="ntu25", classes=CLASSES)
    text = f"data: {{name: tiny, classes: {CLASSES}, split: xsub, protocols: {{xsub: {{by: subject, train: [1]}}}}}}"
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def arguments(setup: Setup, data: Path, root: Path, resume: str = "") -> list[str]:
    """Return the arguments of `last` that train as `setup` says, with runs in `root`."""
    return [
        *("train", "--model", setup.model, "--dataset", str(data), "--data_root", str(data.parent / "data")),
        *("--output_root", str(root), "--device", "cpu", "--epochs", str(setup.epochs)),
        *("--batch_size", str(setup.batch_size), *(("--resume", resume) if resume else ())),
        *("--set", *_TINY, *setup.settings),
    ]


def command(setup: Setup, data: Path, root: Path, resume: str = "auto") -> list[str]:
    """Return the whole command, as typed in a shell."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(setup.processes)]
    start = [sys.executable, *(launcher if setup.processes > 1 else ())]
    program = [str(Path(__file__).with_name("faults_frozen.py"))] if setup.frozen else ["-m", "last"]
    return [*start, *program, *arguments(setup, data, root, resume)]


class Process:
    """A started training: the process and its output.

    Its output goes to files, since a pipe would stay open while an orphaned loader worker is alive.
    """

    def __init__(self, words: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._stem = folder / f"output-{time.monotonic_ns()}"
        self.began = time.monotonic()
        with self._file("out").open("wb") as out, self._file("err").open("wb") as err:
            self.popen = subprocess.Popen(
                list(words),
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            )

    def wait(self, timeout_s: float = 120.0) -> int:
        """Return the exit code as a shell reports it: 128 and the signal's number where a signal ended it."""
        code = self.popen.wait(timeout_s)
        return code if code >= 0 else 128 - code

    def kill_all(self) -> None:
        """Kill it and its descendants, also when it is stopped."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def _file(self, stream: str) -> Path:
        return self._stem.with_suffix(f".{stream}")

    @property
    def output(self) -> str:
        """Return its output to stdout and stderr so far."""
        return "".join(self._file(stream).read_text(errors="replace") for stream in ("out", "err"))

    @property
    def epochs(self) -> int:
        """Return the number of finished epochs."""
        return sum(line.startswith("epoch ") and " lr " in line for line in self.output.splitlines())

    @property
    def trains(self) -> bool:
        """Return whether its training has begun."""
        return " epochs, batch " in self.output


def train_to_the_end(
    setup: Setup, data: Path, root: Path, resume: str = "auto", timeout_s: float = 180.0
) -> tuple[RunFolder, float]:
    """Train without disturbance; return the finished run and the seconds it took.

    Raises:
        RuntimeError: the command failed.
        TimeoutExpired: it did not end in time, and was killed.
    """
    process = Process(command(setup, data, root, resume), root)
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill_all()
        raise
    if code:
        raise RuntimeError(f"An undisturbed training ended with exit code {code}:\n{process.output}")
    return finished_run(root), time.monotonic() - process.began


def finished_run(root: Path) -> RunFolder:
    """Return the one finished run in a folder of runs.

    Raises:
        RuntimeError: there is none, or more than one.
    """
    runs = [RunFolder(path.parent) for path in root.glob("run-*/summary.json")]
    if len(runs) != 1:
        raise RuntimeError(f"{root} holds {len(runs)} finished runs, not one.")
    return runs[0]


def differences(reference: RunFolder, other: RunFolder) -> list[str]:
    """Return the names of values that differ between two finished runs, except timings and paths."""
    first, second = _facts(reference), _facts(other)
    return [name for name in sorted(first.keys() | second.keys()) if first.get(name) != second.get(name)]


def same_state(first: Checkpoint, second: Checkpoint) -> bool:
    """Return whether two checkpoints are equal bit by bit, except timings and paths."""
    return _leaves_of(first) == _leaves_of(second)


def largest_difference(first: RunFolder, second: RunFolder) -> float:
    """Return the largest absolute difference between the last weights and statistics of two runs."""
    ours, theirs = (read_checkpoint(run.last).model for run in (first, second))
    return max(float((ours[name].double() - theirs[name].double()).abs().max()) for name in ours)


def _facts(run: RunFolder) -> dict[str, object]:
    """Return all values of a finished run by name: its checkpoints, its rows of figures, its summary."""
    facts: dict[str, object] = {"checkpoints": sorted(path.name for path in run.all_checkpoints())}
    for path in run.all_checkpoints():
        facts |= {f"{path.name}: {name}": value for name, value in _leaves_of(read_checkpoint(path)).items()}
    for row in read_rows(run.path / "metrics.jsonl"):
        facts |= {f"metrics.jsonl: {row['epoch']}.{name}": repr(value) for name, value in _lasting(row).items()}
    csv = (run.path / "metrics.csv").read_text(encoding="utf-8").splitlines()
    facts["metrics.csv: lines"] = len(csv)
    facts |= {f"summary.json: {name}": value for name, value in _lasting(read_json(run.summary)).items()}
    return facts


def _lasting(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in (*_TIMINGS, *_ABOUT_THE_CODE)}


def _leaves_of(checkpoint: Checkpoint) -> dict[str, object]:
    """Return the values of a checkpoint by dotted name; a tensor as its type, its shape and its bytes."""
    values = {
        **vars(checkpoint),
        "config": {key: value for key, value in flatten(asdict(checkpoint.config)).items() if key not in _PATHS},
        "metrics": _lasting(checkpoint.metrics),
        "within": {name: value for name, value in checkpoint.within.items() if name not in ("waited", "seconds")},
    }
    return dict(_leaves(values, ""))


def _leaves(value: Any, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}.{index}")
    elif isinstance(value, Tensor):
        plain = value.detach().cpu().contiguous()
        yield name, (str(plain.dtype), tuple(plain.shape), plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    else:
        yield name, repr(value)
