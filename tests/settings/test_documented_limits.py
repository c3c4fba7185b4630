"""The limits in the comments of the program's configuration files are those of the settings."""

import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from last.settings.run import RunConfig
from last.utils.config import config_folder
from last.utils.limits import Interval, annotations_of

FILES = ["training/default", "distillation/default", "environment/kaggle", "environment/lambda", "environment/local"]
NUMBER = r"(\d+(?:\.\d+)?)"


def limits(section: Any, prefix: str = "") -> Iterator[tuple[str, Interval]]:
    """Return the interval of each number, also of one that may be null, or is in a list."""
    for name, annotation in annotations_of(section).items():
        if is_dataclass(annotation):
            yield from limits(annotation, f"{prefix}{name}.")
            continue
        for part in (annotation, *get_args(annotation)):
            yield from (
                (prefix + name, each) for each in getattr(part, "__metadata__", ()) if isinstance(each, Interval)
            )


def comments(path: Path) -> dict[str, str]:
    """Return the comment of each key of a YAML file, on its own line."""
    found, sections = {}, [""]
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"( *)(\w+):([^#]*)(?:#\s*(.*))?", line):
            depth = len(match[1]) // 2
            sections[depth + 1 :] = [f"{sections[depth]}{match[2]}."]
            found[sections[-1].removesuffix(".")] = match[4] or ""
    return found


def documented(comment: str) -> Interval | None:
    if match := re.search(rf"{NUMBER}\.\.{NUMBER}", comment):
        return Interval(ge=float(match[1]), le=float(match[2]))
    if match := re.search(rf"above {NUMBER}, at most {NUMBER}", comment):
        return Interval(gt=float(match[1]), le=float(match[2]))
    if match := re.match(rf"int >= {NUMBER}", comment):
        return Interval(ge=float(match[1]))
    match = re.match(rf"numbers? above {NUMBER}", comment)
    return Interval(gt=float(match[1])) if match else None


@pytest.mark.parametrize("file", FILES)
def test_limits_in_comments_are_those_of_the_settings(file: str) -> None:
    known, compared = dict(limits(RunConfig)), 0
    for key, comment in comments(config_folder() / f"{file}.yaml").items():
        if told := documented(comment):
            highest = None if told.le is None else known[key].le
            assert (key, told) == (key, Interval(known[key].gt, known[key].ge, known[key].lt, highest))
            compared += 1
    assert compared >= 3


def test_the_comment_of_every_share_has_its_limits() -> None:
    told = {key: text for file in FILES for key, text in comments(config_folder() / f"{file}.yaml").items()}
    shares = {key for key, limit in limits(RunConfig) if limit.le is not None and limit.le <= 1} & told.keys()
    assert {"label_fraction", "validation_fraction", "ema.decay", "distillation.alpha"} <= shares
    assert sorted(key for key in shares - {"distillation.alpha_of"} if documented(told[key]) is None) == []
