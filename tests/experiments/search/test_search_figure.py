"""The picture of a search."""

from pathlib import Path

import pytest
from search_probes import MakeSearch
from sweep_probes import SweepTrainings

from last.experiments.search.clock import Times
from last.experiments.search.figure import draw_search
from last.experiments.search.results import Standing
from last.experiments.search.run import run_search


@pytest.mark.usefixtures("coarse_pictures")
def test_each_searched_setting_has_a_panel(
    search_plan: MakeSearch, passing_time: SweepTrainings, tmp_path: Path
) -> None:
    sizes = []
    for name, searched in {
        "one": ["learning_rate=0.01..0.5"],
        "four": [
            "learning_rate=0.01..0.5",
            "momentum=0.1..0.9",
            "nesterov=true,false",
            "grad_clip=1,2",
            "warmup_epochs=1..3",
        ],
    }.items():
        search = search_plan(*searched, name=name, budget_hours=0.1)
        assert draw_search(search, run_search(search, 1), "nano_e on tiny", tmp_path / f"{name}.png")
        sizes.append(len((tmp_path / f"{name}.png").read_bytes()))
    assert sizes[0] < sizes[1]


def test_nothing_is_drawn_without_a_result(search_plan: MakeSearch, tmp_path: Path) -> None:
    assert not draw_search(search_plan(), Standing([], "", Times(), 1), "nothing", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
