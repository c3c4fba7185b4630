"""Measure how fast each model is, and its plain reference in the same run.

Ours and the reference have the same weights, read the same random clips, and take turns, so that whatever else the
machine does slows both. Times are medians over the turns, with the least and the most.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from plain import from_fused
from torch import Tensor, nn
from torch.nn import functional

import last
from last.models.bodies import STREAMS, present_rows
from last.models.classifier import SkeletonClassifier
from last.skeleton import load_layout
from last.training.precision import choose_device
from last.utils.errors import UserError

_CLASSES = 60
_WARMUP_TURNS = 2
_EXAMPLES = """examples:
  python benchmarks/zoo.py                                      every model on the CPU, one body a clip
  python benchmarks/zoo.py --models nano_e,base --bodies 2 --threads 1
  python benchmarks/zoo.py --device cuda --amp --batch 64 --json speed.json
  python benchmarks/zoo.py --memory                             the most memory that a training step takes
"""


@dataclass(frozen=True)
class Workload:
    """What is run, and where.

    Attributes:
        batch, frames, bodies: of the clips; every body is there unless a row says otherwise.
        layout: the joint layout.
        device: `cpu` or `cuda`.
        amp: whether forward passes run in bfloat16.
        threads: of torch on the CPU; 0 leaves torch's own choice.
        repeats: how many turns ours and the reference take.
        recompute: whether teachers compute their features again for the backward pass; with --memory alone.
    """

    batch: int
    frames: int
    bodies: int
    layout: str
    device: str
    amp: bool
    threads: int
    repeats: int
    recompute: bool


@dataclass(frozen=True)
class Clips:
    """Random clips: streams (N, C, T, V, M), valid (N, M), labels (N,), and the places of the bodies present."""

    streams: dict[str, Tensor]
    valid: Tensor
    rows: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Row:
    """Two ways to do a task.

    Attributes:
        model, task: what was done.
        clips: how many a turn.
        seconds: of each turn, for each way.
    """

    model: str
    task: str
    clips: int
    seconds: dict[str, list[float]]

    @property
    def clips_per_second(self) -> dict[str, float]:
        """By the median of each way."""
        return {way: self.clips / statistics.median(times) for way, times in self.seconds.items()}

    @property
    def ratio(self) -> float:
        """How many times longer the second way takes, by the medians."""
        first, second = self.clips_per_second.values()
        return first / second


def random_clips(work: Workload, clips: int, bodies: int, present: int) -> Clips:
    """Draw clips with room for `bodies` bodies, of which the first `present` are there; the others are zeros."""
    layout = load_layout(work.layout)
    valid = (torch.arange(bodies) < present).expand(clips, bodies).contiguous()
    streams = {
        name: torch.randn(clips, layout.coordinates, work.frames, layout.num_joints, bodies)
        * valid[:, None, None, None]
        for name in STREAMS
    }
    return Clips(
        streams={name: stream.to(work.device) for name, stream in streams.items()},
        valid=valid.to(work.device),
        rows=present_rows(valid).to(work.device),
        labels=(torch.arange(clips) % _CLASSES).to(work.device),
    )


def forward(model: nn.Module, clips: Clips, work: Workload) -> Tensor:
    """Return the logits (N, classes); ours is told on the host which bodies to compute, as by the loader."""
    places = {"rows": clips.rows} if isinstance(model, SkeletonClassifier) else {}
    with torch.autocast(work.device, dtype=torch.bfloat16, enabled=work.amp):
        logits: Tensor = model(clips.streams, clips.valid, **places)
    return logits


def inference(model: nn.Module, clips: Clips, work: Workload) -> Callable[[], None]:
    """Return a function that runs one batch in evaluation."""

    def run() -> None:
        model.eval()
        with torch.no_grad():
            forward(model, clips, work)

    return run


def training(model: nn.Module, clips: Clips, work: Workload) -> Callable[[], None]:
    """Return a function that takes one training step: forward, cross entropy, backward, SGD with momentum."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, nesterov=True)

    def run() -> None:
        model.train()
        optimizer.zero_grad()
        functional.cross_entropy(forward(model, clips, work).float(), clips.labels).backward()
        optimizer.step()

    return run


def take_turns(ways: Mapping[str, Callable[[], None]], work: Workload) -> dict[str, list[float]]:
    """Run each way once a turn, first in every other turn; return the seconds of each after the warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(_WARMUP_TURNS + work.repeats):
        for name, run in list(ways.items())[:: 1 if turn % 2 else -1]:
            taken = _seconds(run, work.device)
            if turn >= _WARMUP_TURNS:
                seconds[name].append(taken)
    return seconds


def _seconds(run: Callable[[], None], device: str) -> float:
    """Return how long a run takes, with all that it left to the GPU."""
    _wait(device)
    began = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def compare(model: str, task: str, clips: int, ways: Mapping[str, Callable[[], None]], work: Workload) -> Row:
    """Measure two ways to do a task, and print the row."""
    row = Row(model, task, clips, take_turns(ways, work))
    print(_line(row), flush=True)
    return row


def measure_model(name: str, work: Workload) -> list[Row]:
    """Measure inference and training of a model against its reference, and what absent bodies cost."""
    torch.manual_seed(0)
    ours = last.create_model(name, _CLASSES, work.layout).to(work.device)
    models = {"ours": ours, "plain": from_fused(ours)}
    rows = []
    for batch in sorted({1, work.batch}):
        clips = random_clips(work, batch, work.bodies, work.bodies)
        ways = {key: inference(model, clips, work) for key, model in models.items()}
        rows.append(compare(name, "inference", batch, ways, work))
    clips = random_clips(work, work.batch, work.bodies, work.bodies)
    ways = {key: training(model, clips, work) for key, model in models.items()}
    rows.append(compare(name, "training", work.batch, ways, work))
    one, two = (random_clips(work, work.batch, bodies, present=1) for bodies in (1, 2))
    ways = {"M=1": training(ours, one, work), "M=2": training(ours, two, work)}
    rows.append(compare(name, "one-body training", work.batch, ways, work))
    return rows


def peak_gib(name: str, work: Workload) -> float:
    """Return the most memory that training steps of a model took, in a process that does nothing else.

    A new process inherits the peak of the one that starts it, so the caller must not have computed anything.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_own_peak_gib, name, work).result()


def _own_peak_gib(name: str, work: Workload) -> float:
    _set_threads(work)
    sizes = {"recompute": True} if work.recompute else {}
    model = last.create_model(name, _CLASSES, work.layout, **sizes).to(work.device)
    step = training(model, random_clips(work, work.batch, work.bodies, work.bodies), work)
    for _ in range(2):  # the second has the optimizer's state from its start
        step()
    if work.device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 2**30 if sys.platform == "darwin" else 2**20  # ru_maxrss counts bytes there and KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure_memory(names: Sequence[str], work: Workload) -> dict[str, float]:
    """Measure and print the peak memory of a training step of each model, in GiB."""
    peaks = {}
    for name in names:
        peaks[name] = round(peak_gib(name, work), 3)
        print(f"{name:<9} {peaks[name]:7.2f} GiB", flush=True)
    return peaks


def describe(work: Workload) -> dict[str, object]:
    """Return what was measured on what, and when."""
    return {
        **asdict(work),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cpu": processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if work.device == "cuda" else None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def processor() -> str:
    """Return the processor's name, where the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _line(row: Row) -> str:
    cells = [f"{row.model:<9} {row.task:<18} {row.clips:>4}"]
    for way, times in row.seconds.items():
        median, least, most = (1e3 * each for each in (statistics.median(times), min(times), max(times)))
        spread = f"{median:.1f} ({least:.1f}-{most:.1f})"
        cells.append(f"{way:<5} {spread:>26} {row.clips_per_second[way]:>8.1f}")
    return "  ".join([*cells, f"{row.ratio:>6.2f}"])


def _heading() -> str:
    way = f"{'way':<5} {'ms (least-most)':>26} {'clips/s':>8}"
    return "  ".join([f"{'model':<9} {'task':<18} {'N':>4}", way, way, f"{'slower':>6}"])


def _row_values(row: Row) -> dict[str, object]:
    """Return a row with what the table says of it."""
    return {**asdict(row), "clips_per_second": row.clips_per_second, "ratio": row.ratio}


def _set_threads(work: Workload) -> None:
    if work.threads:
        torch.set_num_threads(work.threads)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="all", help="names with commas between them, or all (default)")
    parser.add_argument("--batch", type=_count, default=16, help="clips in a batch (default 16)")
    parser.add_argument("--bodies", type=_count, help="bodies in a clip, all present (default 1; 2 with --memory)")
    parser.add_argument("--frames", type=_count, default=64, help="frames in a clip (default 64)")
    parser.add_argument("--layout", default="ntu25", help="joint layout (default ntu25)")
    parser.add_argument("--threads", type=_count, default=0, help="CPU threads (default: torch's own choice)")
    parser.add_argument("--repeats", type=_count, default=7, help="turns after the warm-up (default 7)")
    parser.add_argument("--amp", action="store_true", help="run forward passes in bfloat16")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default cpu)")
    parser.add_argument("--memory", action="store_true", help="measure the memory of a training step, not times")
    parser.add_argument("--recompute", action="store_true", help="with --memory: teachers keep no features of blocks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured there, too")
    parsed = parser.parse_args(arguments)
    parsed.bodies = parsed.bodies or (2 if parsed.memory else 1)
    return parsed


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} should be 1 or more")
    return number


def _chosen_models(text: str) -> list[str]:
    names = last.list_models() if text == "all" else text.split(",")
    for name in names:
        if name not in last.list_models():
            raise UserError(f"There is no model {name!r}. The models are: {', '.join(last.list_models())}.")
    return names


def _workload(arguments: argparse.Namespace) -> Workload:
    names = Workload.__dataclass_fields__
    return Workload(**{name: value for name, value in vars(arguments).items() if name in names})


def _measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Print the heading and every row, and return all of it as plain values."""
    work, names = _workload(arguments), _chosen_models(arguments.models)
    choose_device(work.device)
    load_layout(work.layout)
    _set_threads(work)
    if arguments.json and not arguments.json.parent.is_dir():
        raise UserError(f"--json {arguments.json}: the folder {arguments.json.parent} is not there.")
    run = describe(work)
    print("\n".join(f"{key}: {value}" for key, value in run.items()), end="\n\n")
    if arguments.memory:
        return {"run": run, "peak_gib": measure_memory(names, work)}
    print(_heading(), flush=True)
    return {"run": run, "rows": [_row_values(row) for name in names for row in measure_model(name, work)]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for; return the exit code."""
    parsed = _parse(arguments)
    try:
        result = _measure(parsed)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if parsed.json:
        parsed.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
