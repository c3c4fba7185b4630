"""Folders of runs that were written by hand, for tests of what reads them."""

import json
from pathlib import Path
from typing import Any

from last.runs.results import Run, read_run

CONFIG = {"epochs": 3, "seed": 0, "learning_rate": 0.01}


def epoch(number: int, top1: float | None, **more: object) -> dict[str, object]:
    row: dict[str, object] = {"epoch": number, "train_loss": 2.0 - number, "test_top1": top1, "test_top5": 90.0}
    return row | {"seconds": 2.0, "clips_per_second": 100.0 + number, "skipped_batches": 1} | more


def write_run(path: Path, top1: list[float | None], finished: bool = True, **config: Any) -> Path:
    """Write the folder of a run of nano_e on tiny xsub, with a row for each test top-1."""
    path.mkdir(parents=True, exist_ok=True)
    whole = CONFIG | {"model": {"name": "nano_e"}, "data": {"name": "tiny", "split": "xsub"}} | config
    (path / "config.yaml").write_text(json.dumps(whole))  # JSON is YAML
    (path / "metrics.jsonl").write_text("".join(json.dumps(epoch(*pair)) + "\n" for pair in enumerate(top1)))
    if finished:
        best = max(range(len(top1)), key=lambda index: top1[index] or 0.0)
        summary = {"model": "nano_e", "dataset": "tiny", "split": "xsub", "seed": whole["seed"], "parameters": 1234}
        summary |= {"best_epoch": best, "best_top1": top1[best], "final_top1": top1[-1], "train_seconds": 7.5}
        (path / "summary.json").write_text(json.dumps(summary))
    return path


def with_teachers(*teachers: Path | str) -> dict[str, Any]:
    return {"distillation": {"teachers": [str(each) for each in teachers]}}


def runs_with(tmp_path: Path, *configs: dict[str, Any], top1: float = 50.0) -> list[Run]:
    paths = [write_run(tmp_path / f"run-{number}", [top1 + number], **config) for number, config in enumerate(configs)]
    return [read_run(path) for path in paths]
