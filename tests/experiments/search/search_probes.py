"""What the tests of searches share: plans on a tiny data set, and a clock that passes while runs are trained."""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import TINY
from sweep_probes import SweepTrainings

from last.evaluation import paired
from last.experiments.search import clock as clock_module
from last.experiments.search import run as search_module
from last.experiments.search.plan import Search, plan_search
from last.experiments.sweep import run as sweep
from last.experiments.sweep.plan import SweepSpec

MakeSearch = Callable[..., Search]
RATES = "learning_rate=0.01..0.5"
HELD_OUT = ("validation=split", "validation_fraction=0.4")  # of four clips of a class


@pytest.fixture
def search_plan(data_yaml: Path, tmp_path: Path) -> MakeSearch:
    """Return a function that plans a tiny search with held-out clips; its arguments are those of a request."""
    roots = {"data_root": str(data_yaml.parent / "data"), "output_root": str(tmp_path / "runs"), "device": "cpu"}

    def make(
        *searched: str, budget_hours: float = 2.0, flags: dict[str, object] | None = None, **changes: object
    ) -> Search:
        request: dict[str, object] = {
            "model": "nano_e",
            "dataset": str(data_yaml),
            "environment": "local",
            "settings": [*TINY, *HELD_OUT, "epochs=9", "data.augment.scale=0.1"],
            "flags": {**roots, **(flags or {})},
        }
        spec = SweepSpec(**{**request, **changes})  # type: ignore[arg-type]
        return plan_search(spec, searched or [RATES], budget_hours)

    return make


@pytest.fixture
def passing_time(sweep_trainings: SweepTrainings, monkeypatch: pytest.MonkeyPatch) -> SweepTrainings:
    """Train nothing; an epoch of a run takes a minute of a clock that stands still otherwise."""
    sweep_trainings.now = time.monotonic()
    clock = SimpleNamespace(monotonic=lambda: sweep_trainings.now)
    monkeypatch.setattr(sweep, "time", clock)
    monkeypatch.setattr(search_module, "time", clock)
    monkeypatch.setattr(clock_module, "time", clock)
    monkeypatch.setattr(paired, "DRAWS", 20)
    sweep_trainings.seconds = lambda config: 60.0 * config.epochs
    return sweep_trainings
