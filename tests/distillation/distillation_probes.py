"""What the tests of distillation share: a trained teacher, and a changed copy of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from last.experiments import run as experiment
from last.runs.checkpoint import read_checkpoint, save_checkpoint
from last.settings.run import RunConfig

MakeConfig = Callable[..., RunConfig]


def train_teacher(make: MakeConfig, *overrides: str) -> Path:
    """Train a teacher wider than the student for two epochs and return its checkpoint."""
    return experiment.train(make("epochs=2", "model.channels=[16,16]", "seed=7", *overrides)).run.last


def taught_by(*teachers: Path) -> str:
    return f"distillation.teachers=[{','.join(map(str, teachers))}]"


def changed_copy(
    teacher: Path, copy: Path, data: dict[str, Any] | None = None, within: dict[str, Any] | None = None, **changes: Any
) -> Path:
    """Write an intact checkpoint with changed facts: `data` of its data set, the rest of its run."""
    checkpoint = read_checkpoint(teacher)
    config = replace(checkpoint.config, data=replace(checkpoint.config.data, **(data or {})))
    classes = changes.pop("classes", checkpoint.classes)
    changed = replace(checkpoint, config=replace(config, **changes), classes=classes, within=within or {})
    save_checkpoint(copy, changed)
    return copy


def another_network(teacher: Path, path: Path, **changes: Any) -> Path:
    """Write a checkpoint with slightly other weights and changed facts of its run."""
    checkpoint = read_checkpoint(teacher)
    name, first = next(iter(checkpoint.model.items()))
    other = replace(
        checkpoint, config=replace(checkpoint.config, **changes), model={**checkpoint.model, name: first * 1.01}
    )
    save_checkpoint(path, other)
    return path
