"""What the tests of sequences share: two data sets, plans, and a training that only writes its folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import CLASSES, TINY, moving_clips

from last.data.store.reader import write_store
from last.experiments.run import Result
from last.experiments.sequence import run as sequence
from last.experiments.sequence.plan import Plan, SequenceSpec, plan_sequence
from last.experiments.sequence.table import read_rows
from last.runs.folder import RunFolder
from last.runtime.stop_requests import Stop
from last.settings.run import RunConfig
from last.utils.config import to_yaml
from last.utils.files import write_json, write_text

TWO = ["nano_e", "base_e"]


MakePlan = Callable[..., Plan]


Train = Callable[..., Result]


@pytest.fixture(scope="module")
def two_data_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `one.yaml`, `two.yaml` and, in `data`, their stores."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("one", "two"):
        write_store(folder / "data" / name, moving_clips(), name=name, layout="ntu25", classes=CLASSES)
        protocols = "{xsub: {by: subject, train: [1]}, other: {by: subject, train: [2]}}"
        text = f"data: {{name: {name}, classes: {CLASSES}, split: xsub, protocols: {protocols}}}"
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture
def plan(two_data_sets: Path, tmp_path: Path) -> MakePlan:
    """Return a function that plans a tiny sequence; its arguments are those of a request."""
    roots = {"data_root": str(two_data_sets / "data"), "output_root": str(tmp_path / "runs"), "device": "cpu"}

    def make(then: bool | str = False, flags: dict[str, object] | None = None, **changes: object) -> Plan:
        request: dict[str, object] = {
            "dataset": str(two_data_sets / "one.yaml"),
            "then": str(two_data_sets / "two.yaml") if then is True else then or "",
            "environment": "local",
            "teacher": "small_e",
            "students": ["nano_e"],
            "settings": [*TINY, "epochs=1"],
            "flags": {**roots, **(flags or {})},
        }
        return plan_sequence(SequenceSpec(**{**request, **changes}))  # type: ignore[arg-type]

    return make


class Trainings:
    """Replace `train`: record its arguments, and write a run's folder with the top-1 from `accuracy`."""

    def __init__(self) -> None:
        self.configs: list[RunConfig] = []
        self.began: set[float] = set()
        self.endings: list[object] = []
        self.stop_at: dict[int, Stop | Exception] = {}
        self.tables: list[str] = []

    def __call__(
        self,
        config: RunConfig,
        resume: str,
        _: object,
        *,
        started_at: float,
        search_inputs: bool,
        on_end: object = None,
    ) -> Result:
        assert (resume, search_inputs) == ("auto", False)  # the sequence brings its own runs from an input folder
        self.configs.append(config)
        self.began.add(started_at)
        self.endings.append(on_end)
        run = RunFolder.create(Path(config.output_root))
        write_text(run.config, to_yaml(config))
        self.tables.append((run.path.parents[2] / "sequence.md").read_text())
        stop = self.stop_at.get(len(self.configs))
        if isinstance(stop, Exception):
            write_json(run.divergence, {})
            raise stop
        if stop is not None:
            return Result(run, {}, stop)
        write_json(run.summary, {"final_top1": accuracy(config), "parameters": 1000})
        return Result(run, {})


def accuracy(config: RunConfig) -> float:
    """Return 60 alone; distilled 64 and 65 with the seeds 0 and 1; and a point more for the seed."""
    return 60.0 + config.seed + (4.0 + config.seed if config.distillation.teachers else 0.0)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    stand_in = Trainings()
    monkeypatch.setattr(sequence, "train", stand_in)
    return stand_in


def statuses(plan: Plan) -> list[str]:
    return [row.status for row in read_rows(plan)]


def write_model(folder: Path, name: str = "tiny_e") -> str:
    folder.mkdir(exist_ok=True)
    sizes = "channels: [8, 8, 8], blocks: [1, 1, 1], attention: [false, false, false]"
    (folder / "size.yaml").write_text(f"model: {{name: {name}, family: last_e, {sizes}}}")
    return str(folder / "size.yaml")
