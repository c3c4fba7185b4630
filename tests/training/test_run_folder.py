"""The names of run folders, and finding the run to go on with."""

from datetime import date
from pathlib import Path

import pytest

from last.training.config import RunConfig, resolve
from last.training.run_folder import RunFolder
from last.training.run_search import find_run
from last.utils.config import to_yaml


def config(model: str = "nano_e", dataset: str = "synthetic", split: str = "xsub", seed: int = 0) -> RunConfig:
    return resolve(model=model, dataset=dataset, flags={"data.split": split, "seed": seed})


def begun(root: Path, name: str, of: RunConfig) -> Path:
    (root / name).mkdir(parents=True)
    (root / name / "config.yaml").write_text(to_yaml(of))
    return root / name


def test_runs_of_a_day_are_numbered_from_the_second(tmp_path: Path) -> None:
    names = [RunFolder.create(tmp_path / "runs").path.name for _ in range(3)]
    today = f"run-{date.today().isoformat()}"
    assert names == [today, f"{today}_2", f"{today}_3"]


def test_the_newest_run_is_found_by_day_then_number(tmp_path: Path) -> None:
    for name in ("run-2026-01-02", "run-2026-01-02_9", "run-2026-01-02_10", "run-2026-01-01_11", "run-nonsense"):
        begun(tmp_path, name, config())
    found = find_run(tmp_path, config())
    assert found is not None
    assert found.path.name == "run-2026-01-02_10"


@pytest.mark.parametrize(
    "other",
    [{"model": "small_e"}, {"dataset": "ntu60"}, {"split": "xview"}, {"seed": 1}],
)
def test_a_run_of_another_model_data_set_protocol_or_seed_is_passed_over(
    tmp_path: Path, other: dict[str, object]
) -> None:
    begun(tmp_path, "run-2026-01-02", config(**other))  # type: ignore[arg-type]
    assert find_run(tmp_path, config()) is None
    own = begun(tmp_path, "run-2026-01-01", config())
    found = find_run(tmp_path, config())
    assert found is not None
    assert found.path == own


def test_where_there_are_no_runs_none_is_found(tmp_path: Path) -> None:
    assert find_run(tmp_path / "nowhere", config()) is None
