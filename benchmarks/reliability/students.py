"""Measure the students of an inspection: how many planted wrong labels they find, and how well they forecast.

Labels of a prepared data set are exchanged at random, in memory only, and the clips that the students find are compared
with these. The forecast of sets with a quarter and a half of the clips is compared with the accuracy that students
reach with all of them.
"""

import argparse
import platform
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from last.cli.terminal import table
from last.data.store.reader import Store, open_store, write_store
from last.inspection.findings import LearningCurve
from last.inspection.learning_curve import FORECAST_FACTORS
from last.inspection.student_folds import parts_of
from last.inspection.students import study
from last.settings.data import DataConfig
from last.utils.config import data_layer, merge, section_layer
from last.utils.machine import processor, usable_cores

_EXAMPLES = """examples:
  python benchmarks/reliability/students.py ./data/nw_ucla --dataset nw_ucla
  python benchmarks/reliability/students.py ./data/nw_ucla --dataset nw_ucla --seeds 1 2 3 --noise 0.1 --parts labels
"""


def plant(labels: NDArray[np.int64], classes: int, share: float, seed: int) -> NDArray[np.int64]:
    """Return labels of which this share, chosen at random, is another class at random."""
    generator = np.random.default_rng(seed)
    chosen = generator.choice(len(labels), round(share * len(labels)), replace=False)
    planted = labels.copy()
    planted[chosen] = (labels[chosen] + generator.integers(1, classes, len(chosen))) % classes
    return planted


def planted_labels(options: argparse.Namespace, data: DataConfig) -> list[list[str]]:
    """Return a row for each seed of planted labels, and one for none."""
    rows = []
    for seed in (None, *options.seeds):
        store = open_store(options.store, verify=False)
        true = store.clips["label"].astype(np.int64)
        planted = true if seed is None else plant(true, len(store.classes), options.noise, seed)
        store.clips["label"] = planted
        found = study(store, data, minutes=options.minutes, updates=options.updates, repeats=0).wrong_labels
        clips = np.array([] if found is None else [each.clip for each in found.evidence], np.int64)
        wrong = planted != true
        hits = int(wrong[clips].sum())
        precision = f"{hits / len(clips):.0%}" if len(clips) and seed is not None else "-"
        recall = f"{hits / wrong.sum():.0%}" if wrong.any() else "-"
        row = ["none" if seed is None else str(seed), str(wrong.sum()), str(len(clips)), str(hits), precision, recall]
        rows.append(row)
    return rows


def forecasts(options: argparse.Namespace, data: DataConfig) -> list[list[str]]:
    """Return a row for a quarter and for a half of the clips: the forecast for all of them, and what was measured."""
    store = open_store(options.store, verify=False)

    def curve_of(clips: Store) -> LearningCurve:
        studied = study(clips, data, minutes=options.minutes, updates=options.updates, repeats=options.repeats)
        assert studied.curve is not None
        return studied.curve

    whole = curve_of(store)
    rows = [["all", *(f"{each.mean:.1%}" for each in whole.points), "-", "-", f"{whole.points[-1].mean:.1%}"]]
    labels = store.clips["label"].astype(np.int64)
    for factor in FORECAST_FACTORS:
        chosen = parts_of(labels, np.arange(len(store)), 1 / factor, options.seeds[0])
        with tempfile.TemporaryDirectory() as folder:
            curve = curve_of(_part(store, chosen, Path(folder)))
        low, likely, high = curve.forecast[factor * curve.points[-1].clips]
        measured = [f"{each.mean:.1%}" for each in curve.points]
        row = [f"1/{factor}", *measured, f"{likely:.1%}", f"{low:.1%} to {high:.1%}", f"{whole.points[-1].mean:.1%}"]
        rows.append(row)
    return rows


def _part(store: Store, chosen: NDArray[np.int64], folder: Path) -> Store:
    clips = (store[int(number)] for number in chosen)
    return write_store(folder / "part", clips, name=store.name, layout=store.skeleton, classes=store.classes)


def main() -> None:
    """Run the parts that the command line names, and print their tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path, help="the folder of a prepared data set")
    parser.add_argument("--dataset", required=True, help="its name, or its YAML")
    parser.add_argument("--parts", nargs="+", default=["labels", "forecast"], choices=["labels", "forecast"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the planted labels")
    parser.add_argument("--noise", type=float, default=0.05, help="share of the labels that are planted")
    parser.add_argument("--minutes", type=float, default=1.0, help="of each study; without effect with --updates")
    parser.add_argument("--updates", type=int, default=0, help="of each student, for repeatable figures")
    parser.add_argument("--repeats", type=int, default=2, help="folds for which a learning curve is measured")
    options = parser.parse_args()
    data = merge(DataConfig(), [section_layer(data_layer(options.dataset), "data")])
    print(f"{processor()}, {usable_cores()} cores, Python {platform.python_version()}", flush=True)
    if "labels" in options.parts:
        titles = ["seed", "planted", "found", "right", "precision", "recall"]
        table("Planted labels", titles, planted_labels(options, data))
    if "forecast" in options.parts:
        titles = ["clips", "25%", "50%", "100%", "forecast for all", "interval", "measured"]
        table("Forecasts", titles, forecasts(options, data))


if __name__ == "__main__":
    main()
