"""A small configuration, and its layers, for tests of `utils/config`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Interval

from last.utils.config import Layer, merge
from last.utils.errors import UserError


@dataclass
class Loader:
    workers: Annotated[int, Interval(ge=0, le=8)] = 0
    kind: Literal["auto", "fast"] = "auto"


@dataclass
class Protocol:
    train: list[int] = field(default_factory=list)


@dataclass
class Run:
    epochs: Annotated[int, Ge(1)] = 70
    rate: Annotated[float, Gt(0.0)] = 0.01
    name: str = ""
    names: list[str] = field(default_factory=list)
    amp: bool = False
    limit: int | None = None
    angles: list[float] = field(default_factory=lambda: [1.0, 2.0])
    loader: Loader = field(default_factory=Loader)
    protocols: dict[str, Protocol] = field(default_factory=dict)


def merged(*layers: Layer) -> Run:
    return merge(Run(), layers)


def problems(*layers: Layer) -> str:
    with pytest.raises(UserError) as raised:
        merge(Run(), layers)
    return str(raised.value)


def written(folder: Path, text: str, name: str = "recipe.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
