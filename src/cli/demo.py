"""`demo`: run the whole pipeline once on synthetic data, from raw recordings to an evaluated model."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..tasks.measures import CLASSIFICATION
from ..utils.extras import EXTRAS, import_fault
from ..utils.program import install_command, program
from .options import examples, quoted
from .steps import Steps
from .terminal import progress, propose, say, table

if TYPE_CHECKING:
    from ..data.store.reader import Store
    from ..evaluation.evaluate import EvalResult
    from ..experiments.run import Result
    from ..runs.folder import RunFolder
    from ..settings.data import DataConfig
    from ..settings.run import RunConfig
    from ..utils.progress import Progress

NEEDS = ("torch",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "--out", type=Path, default=Path("last-demo"), metavar="DIR", help="folder (default: last-demo)"
    )
    parser.add_argument("--clips", type=int, default=600, metavar="N", help="synthetic recordings (default: 600)")
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs (default: as in the recipe `demo`)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed of data and training (default: 0)"
    )
    parser.epilog = examples(
        """
        {program} demo
        {program} demo --out /tmp/demo --clips 240 --epochs 4
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Run every step and print the results; return the exit code."""
    from ..data.synthetic import synthesize
    from ..experiments.config import resolve
    from ..plots.figures import draws_or_warns

    out: Path = arguments.out
    flags = {"epochs": arguments.epochs, "seed": arguments.seed}
    roots = {"data_root": str(out / "data"), "output_root": str(out / "runs")}
    config = resolve(recipe="demo", flags={**flags, **roots})
    drawing = draws_or_warns("Drawing the pictures")
    shown = progress(arguments.quiet)
    steps = Steps(5 if drawing else 4)
    with steps.step("write raw .skeleton recordings of synthetic actions"):
        synthesize(out / "raw", arguments.clips, arguments.seed, shown)
    with steps.step("preprocess them into a store"):
        store = _prepare(config.data, out, shown)
    with steps.step(f"train {config.model.title} on {len(config.data.classes)} actions"):
        result = _train(config, drawing, shown)
    with steps.step("evaluate the last epoch on people that it was not trained on"):
        evaluation = _evaluate(result.run, config.data_root, drawing, shown)
    pictures: dict[str, Path] = {}
    if drawing:
        with steps.step("draw a moving skeleton"):
            pictures = _draw(result.run, store)
    _print_results(steps, result.summary, evaluation, result.run, pictures)
    propose(_next_steps(result.run, config.data_root, config.output_root))
    say(f"The run is in {result.run.path}")
    return 0


def _prepare(config: "DataConfig", out: Path, shown: "Progress") -> "Store":
    from ..data.preparation.preprocess import preprocess
    from ..data.store.reader import open_store

    folder = out / "data" / config.name
    preprocess(config, out / "raw", folder, overwrite=True, progress=shown)
    return open_store(folder)


def _train(config: "RunConfig", drawing: bool, shown: "Progress") -> "Result":
    from ..experiments.run import train
    from ..runs.pictures import draw_run

    result = train(config, progress=shown, on_end=draw_run if drawing else None)
    if result.stopped is not None:
        result.stopped.raise_signal()
    return result


def _evaluate(run: "RunFolder", data_root: str, drawing: bool, shown: "Progress") -> "EvalResult":
    from ..evaluation.evaluate import evaluate
    from ..evaluation.request import EvalRequest

    request = EvalRequest(run.last, data_root=data_root, pictures=drawing)
    return evaluate(request, run.path / "evaluation" / "last-test", shown)


def _draw(folder: "RunFolder", store: "Store") -> dict[str, Path]:
    """Draw the clip with the most bodies, and a page that plays it; return the run's pictures by name."""
    from ..data.store.played_clips import played_clip
    from ..plots.player import write_page
    from ..plots.skeletons import animate

    skeleton, page = folder.path / "skeleton.gif", folder.path / "skeleton.html"
    clip = store[int(store.clips["bodies"].argmax())]
    name = store.classes[clip.label]
    played = played_clip(clip, store.skeleton, name)
    (version,) = played.versions
    animate(
        version.joints,
        store.skeleton,
        skeleton,
        title=name,
        fps=version.fps,
        frame_mask=version.frame_mask,
        joint_mask=version.joint_mask,
        confidence=version.confidence,
    )
    write_page(page, [played], title=f"{store.name}, one clip")
    return {"training curve": folder.curve, "animated skeleton": skeleton, "skeleton to turn": page}


def _print_results(
    steps: Steps,
    summary: Mapping[str, object],
    evaluation: "EvalResult",
    folder: "RunFolder",
    pictures: Mapping[str, Path],
) -> None:
    """Print the tables of times, results and files."""
    total = sum(steps.seconds.values())
    times = [[name, f"{seconds:.1f} s"] for name, seconds in steps.seconds.items()]
    table("time", ["step", "took"], [*times, ["all", f"{total:.1f} s"]])
    metrics, metric = evaluation.metrics, CLASSIFICATION.primary_metric
    figures = [
        ["parameters", f"{summary['parameters']:,}"],
        ["classes", str(len(evaluation.class_names))],
        ["chance", f"{100 / len(evaluation.class_names):.1f} %"],
        [f"{metric.title}, last epoch, held-out people", f"{getattr(metrics, metric.name):.2f} %"],
        ["mean class accuracy", f"{metrics.mean_class_accuracy:.2f} %"],
        ["training speed", f"{summary['clips_per_second']:.0f} clips/s"],
    ]
    table("result", ["figure", "value"], figures)
    files = {
        "run": folder.path,
        "trained model": folder.best,
        "logbook": folder.path / "metrics.csv",
        **{name.replace("_", " "): path for name, path in evaluation.files.items()},
        **pictures,
    }
    table("files", ["what", "where"], [[name, str(path)] for name, path in files.items()])


def _next_steps(run: "RunFolder", data_root: str, output_root: str) -> str:
    """Return the commands to try next, with the folders of this demo."""
    data, runs = quoted(Path(data_root)), quoted(Path(output_root))
    larger = f"train --config demo --model small_e --data_root {data} --output_root {runs}"
    absent = any(import_fault(package) is not None for package in (*EXTRAS["deploy"], *EXTRAS["runtime"]))
    install = [install_command("last-har[deploy]")] if absent else []
    steps = {
        "look at more clips, beside what training sees of them": [f"{program()} view {quoted(run.path)} --augmented"],
        "train a larger student on the same clips": [f"{program()} {larger}"],
        "list the runs with their results": [f"{program()} runs --output_root {runs}"],
        "write the model as one file for ONNX Runtime": [
            *install,
            f"{program()} export --checkpoint {quoted(run.best)}",
        ],
        "prepare real recordings": [f"{program()} preprocess --dataset ntu60 --raw DIR"],
    }
    return "\n".join(["Next:", *("\n    ".join([f"  {what}:", *commands]) for what, commands in steps.items())])
