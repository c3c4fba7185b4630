"""What the tests of sweeps share: plans on a tiny data set, and trainings that only write their folders."""

import csv
import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest
from conftest import TINY

from last.evaluation.request import EvalRequest
from last.experiments.run import Result
from last.experiments.sweep import run as sweep
from last.experiments.sweep.plan import SweepPlan, SweepSpec, plan_sweep
from last.runs.folder import RunFolder
from last.runtime.stop_requests import Stop
from last.settings.run import RunConfig
from last.utils.config import to_yaml
from last.utils.files import write_json, write_text

MakeSweep = Callable[..., SweepPlan]
CLIPS = [f"clip{number}" for number in range(10)]
SLOW = {"slow": ["learning_rate=0.001"]}


@pytest.fixture
def sweep_plan(data_yaml: Path, tmp_path: Path) -> MakeSweep:
    """Return a function that plans a tiny sweep; its arguments are those of a request."""
    roots = {"data_root": str(data_yaml.parent / "data"), "output_root": str(tmp_path / "runs"), "device": "cpu"}

    def make(flags: dict[str, object] | None = None, **changes: object) -> SweepPlan:
        request: dict[str, object] = {
            "model": "nano_e",
            "dataset": str(data_yaml),
            "environment": "local",
            "variants": SLOW,
            "settings": [*TINY, "epochs=1"],
            "flags": {**roots, **(flags or {})},
        }
        return plan_sweep(SweepSpec(**{**request, **changes}))  # type: ignore[arg-type]

    return make


def write_rows(run: RunFolder, epochs: int, seconds: float) -> None:
    """Write the logbook of a run of so many epochs, each of so many seconds."""
    rows = [json.dumps({"epoch": epoch, "seconds": seconds}) for epoch in range(epochs)]
    write_text(run.logbook, "".join(f"{row}\n" for row in rows))


class SweepTrainings:
    """Replace training and evaluation: a variant recognises the clips whose numbers are in `recognised`."""

    def __init__(self) -> None:
        self.trained: list[RunConfig] = []
        self.evaluated: list[tuple[Path, str]] = []
        self.recognised: Callable[[RunConfig], Sequence[int]] = lambda _: range(5)
        self.fails: Callable[[RunConfig], Exception | Stop | None] = lambda _: None
        self.length: Callable[[RunConfig], int] = lambda config: config.epochs
        self.seconds: Callable[[RunConfig], float] = lambda _: 1800.0
        self.evaluation_seconds = 0.0
        self.now = 0.0  # passes while runs are trained and evaluated, if `passing_time` is used

    def train(self, config: RunConfig, resume: str, **options: object) -> Result:
        assert (resume, options["search_inputs"]) == ("auto", False)
        self.trained.append(config)
        run = RunFolder.create(Path(config.output_root))
        write_text(run.config, to_yaml(config))
        failure = self.fails(config)
        if isinstance(failure, Stop):
            return Result(run, {}, failure)
        if failure is not None:
            if "diverged" in str(failure):
                write_json(run.divergence, {})
            raise failure
        seconds, length = self.seconds(config), self.length(config)
        write_rows(run, length, seconds / max(length, 1))
        self.now += seconds
        figures = {"final_top1": 10.0 * len(self.recognised(config)), "train_seconds": seconds, "test_clips": 10}
        write_json(run.summary, figures)
        return Result(run, figures)

    def evaluate(self, request: EvalRequest, out: Path) -> None:
        config = self.trained[-1]
        self.evaluated.append((request.checkpoint, request.subset))
        self.now += self.evaluation_seconds
        out.mkdir(parents=True)
        with (out / "predictions.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["name", "correct"])
            writer.writerows([name, int(number in self.recognised(config))] for number, name in enumerate(CLIPS))


@pytest.fixture
def sweep_trainings(monkeypatch: pytest.MonkeyPatch) -> SweepTrainings:
    """Train and evaluate nothing, in this process."""
    stand_in = SweepTrainings()

    def work_here(
        work: Callable[[object], None], items: Sequence[object], *others: object
    ) -> Generator[object, None, None]:
        on_done = others[-1]
        assert callable(on_done)
        for item in items:
            began = stand_in.now
            work(item)
            on_done(item, stand_in.now - began)
            yield item

    monkeypatch.setattr(sweep, "work_in_order", work_here)
    monkeypatch.setattr(sweep.os, "setpgrp", lambda: None)
    monkeypatch.setattr(sweep, "train", stand_in.train)
    monkeypatch.setattr(sweep, "evaluate", stand_in.evaluate)
    return stand_in
