"""Compare two recoveries of BatchNorm's statistics after a non-finite loss: `reset` and `restore`.

Trains on the synthetic set with a layer that outputs NaN for the training batches of random steps, with both
settings of `nan_guard.bn_recovery`, several shares of bad steps and several seeds. The bad steps of a seed are the same
for both settings.
"""

import argparse
import hashlib
import json
import logging
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from last.experiments import run as experiment
from last.experiments.config import resolve
from last.runs.logbook import read_rows
from last.training.classification import Classification

_EXAMPLES = """examples:
  python benchmarks/reliability/bn_recovery.py --data_root data    needs data/synthetic: see synthesize
  python benchmarks/reliability/bn_recovery.py --data_root data --shares 0.01 --seeds 0 --epochs 5
"""


@contextmanager
def bad_activations(seed: int, share: float) -> Iterator[None]:
    """Make the stem output NaN in a `share` of the training steps, chosen by `seed`."""
    forward = Classification.forward
    step = 0

    def spoiled(task: Classification, *arguments: Any) -> Any:
        nonlocal step
        step += 1
        draw = int.from_bytes(hashlib.blake2b(f"{seed} {step}".encode(), digest_size=4).digest(), "big") / 2**32
        if draw >= share:
            return forward(task, *arguments)
        stem = task.model.fusion.stem  # type: ignore[union-attr]
        hook = stem.register_forward_hook(_output_nan)  # type: ignore[union-attr]
        try:
            return forward(task, *arguments)
        finally:
            hook.remove()

    Classification.forward = spoiled  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Classification.forward = forward  # type: ignore[method-assign]


def _output_nan(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
    return output + float("nan")


def train_once(options: argparse.Namespace, recovery: str, share: float, seed: int, out: Path) -> dict[str, Any]:
    """Return the figures of one training."""
    config = resolve(
        model="nano_e",
        dataset="synthetic",
        environment="local",
        overrides=[f"nan_guard.bn_recovery={recovery}", "learning_rate=0.05", "input_frames=32", "tensorboard=false"],
        flags={
            "seed": seed,
            "epochs": options.epochs,
            "data_root": options.data_root,
            "output_root": str(out),
            "device": "cpu",
            "hardware.cpu_threads": 1,
        },
    )
    with bad_activations(seed, share):
        result = experiment.train(config)
    tested = [float(row["test_top1"]) for row in read_rows(result.run.path / "metrics.jsonl")]
    return {
        "recovery": recovery,
        "share": share,
        "seed": seed,
        "final_top1": tested[-1],
        "mean_of_second_half": statistics.fmean(tested[len(tested) // 2 :]),
        "lowest_of_second_half": min(tested[len(tested) // 2 :]),
        "skipped": result.summary["skipped_by_cause"]["losses"],
    }


def _line(runs: list[dict[str, Any]]) -> str:
    """Return the table's line for one setting."""
    final = [run["final_top1"] for run in runs]
    halves = [run["mean_of_second_half"] for run in runs]
    return (
        f"{runs[0]['share']:5.2f}  {runs[0]['recovery'] if runs[0]['share'] else '-':8}  "
        f"{'  '.join(f'{each:6.2f}' for each in final):22}  {statistics.fmean(final):6.2f}  "
        f"{statistics.fmean(halves):17.2f}  {min(run['lowest_of_second_half'] for run in runs):6.2f}  "
        f"{sum(run['skipped'] for run in runs):8}"
    )


def main() -> None:
    """Run all trainings and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_root", default="data")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--shares", default="0.01,0.05")
    parser.add_argument("--json", type=Path, help="write every run's figures to this file")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    settings = [("reset", 0.0)]
    settings += [(way, float(share)) for share in options.shares.split(",") for way in ("reset", "restore")]
    runs: list[dict[str, Any]] = []
    print("share  recovery  final top-1 by seed      mean   second half: mean  lowest   skipped")
    with tempfile.TemporaryDirectory() as folder:
        for recovery, share in settings:
            of_setting = []
            for seed in seeds:
                of_setting.append(train_once(options, recovery, share, seed, Path(folder)))
                print(f"{recovery} {share} seed {seed}: {of_setting[-1]}", file=sys.stderr)
            runs += of_setting
            print(_line(of_setting), flush=True)
    if options.json:
        options.json.write_text(json.dumps(runs, indent=2) + "\n")


if __name__ == "__main__":
    main()
