"""The picture of the curves of several runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from written_runs import epoch, runs_with, with_teachers, write_run

from last.plots import figures
from last.runs import curves
from last.runs.curves import draw_curves
from last.runs.results import read_run


def test_models_that_differ_in_their_switches_alone_are_told_apart(tmp_path: Path) -> None:
    runs = runs_with(tmp_path, {}, {"model": {"name": "nano_e", "streams": ["bone"]}})
    assert curves._title(runs)[0] == "tiny xsub"
    assert [label.splitlines()[1].partition(",")[0] for label in curves._labels(runs)] == ["nano_e", "nano_e of bone"]


@pytest.mark.usefixtures("coarse_pictures")
@pytest.mark.parametrize("count", [2, 40])
def test_curves_are_drawn_for_few_and_many_runs(tmp_path: Path, count: int) -> None:
    runs = runs_with(tmp_path, *({"seed": seed} for seed in range(count)))
    draw_curves(runs, tmp_path / "out" / "curves.png")
    assert (tmp_path / "out" / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.usefixtures("coarse_pictures")
def test_runs_are_compared_in_the_loss_that_they_all_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, distilled = (write_run(tmp_path / name, [1.0], **with_teachers()) for name in ("plain", "distilled"))
    row = epoch(0, 1.0, train_labels_loss=1.5)
    (distilled / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    drawn: list[str] = []
    plot = figures.plot_column

    def note(axes: Any, rows: Any, name: str, *rest: Any) -> None:
        drawn.append(name)
        plot(axes, rows, name, *rest)

    monkeypatch.setattr(figures, "plot_column", note)
    draw_curves([read_run(plain), read_run(distilled)], tmp_path / "curves.png")
    assert drawn == ["test_top1", "train_loss", "test_top1", "train_labels_loss"]


@pytest.mark.usefixtures("coarse_pictures")
def test_compared_curves_do_not_make_one_clip_look_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    runs = []
    for name, top1 in (("a", 95.0), ("b", 96.67)):
        path = write_run(tmp_path / name, [top1, top1])
        summary = json.loads((path / "summary.json").read_text())
        (path / "summary.json").write_text(json.dumps(summary | {"test_clips": 60}))
        runs.append(read_run(path))
    spans: list[float] = []
    save = Figure.savefig

    def note(figure: Figure, *arguments: Any, **options: Any) -> None:
        low, high = figure.axes[0].get_ylim()
        spans.append(high - low)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", note)
    draw_curves(runs, tmp_path / "curves.png")
    assert spans == [pytest.approx(100 / 3)]


def test_long_names_of_runs_keep_the_end_in_which_they_differ(tmp_path: Path) -> None:
    below = tmp_path / "sequence-a-long-data-set-xsub" / "a-long-data-set-xsub"
    runs = [read_run(write_run(below / model / "run-2026-11-23", [1.0]), tmp_path) for model in ("nano_e", "base_e")]
    names = [label.splitlines()[0] for label in curves._labels(runs)]
    assert [name.removesuffix("/run-2026-11-23")[-6:] for name in names] == ["nano_e", "base_e"]
    assert all(name.startswith("…") and len(name) == 36 for name in names)


@pytest.mark.usefixtures("coarse_pictures")
def test_curves_leave_out_what_is_not_known(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / "a$_{", [None, 40.0, None], finished=False), write_run(tmp_path / "b", [], False)]
    draw_curves([read_run(path) for path in paths], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()


def test_curves_without_any_epoch_are_refused(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", [], finished=False))
    with pytest.raises(ValueError, match="None of the runs has an epoch"):
        draw_curves([run], tmp_path / "curves.png")
