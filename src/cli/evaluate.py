"""`evaluate`: measure a trained model and write its report."""

import argparse
from pathlib import Path

from ..evaluation.evaluate import SUBSETS, Answer, Question, evaluate
from ..evaluation.statistics import CHOICES
from .options import add_shared, examples
from .terminal import progress, table

_WORST_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "--checkpoint",
        required=True,
        type=Path,
        metavar="PATH",
        help="a checkpoint, such as <run>/checkpoints/last.pth",
    )
    parser.add_argument("--subset", choices=SUBSETS, default="test", help="part of the protocol (default: test)")
    parser.add_argument("--dataset", metavar="D", default="", help="another data set with the same classes")
    parser.add_argument("--split", metavar="NAME", default="", help="another protocol than the run's")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the report (default: <run>/evaluation/<checkpoint>-<subset>, and what else was asked for)",
    )
    parser.add_argument(
        "--raw", action="store_true", help="measure the trained weights of a run that averaged them (ema.decay)"
    )
    parser.add_argument(
        "--statistics",
        choices=CHOICES,
        default="auto",
        help="BatchNorm statistics to test with: running, as training left them; measured, over training clips; auto, "
        "the default, as the run tested",
    )
    add_shared(parser, "--data_root", "--device")
    parser.epilog = examples(
        """
        python scripts/evaluate.py --checkpoint runs/run-2026-11-23/checkpoints/best_model.pth
        python scripts/evaluate.py --checkpoint runs/run-2026-11-23/checkpoints/last.pth --subset train --out report
        python scripts/evaluate.py --checkpoint runs/run-2026-11-23/checkpoints/last.pth --statistics running
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the figures and say where the report is; return the exit code."""
    question = Question(
        checkpoint=arguments.checkpoint,
        subset=arguments.subset,
        dataset=arguments.dataset,
        split=arguments.split,
        data_root=arguments.data_root or "",
        device=arguments.device or "auto",
        raw=arguments.raw,
        statistics=arguments.statistics,
    )
    out = arguments.out or _default_folder(question)
    answer = evaluate(question, out, progress(arguments.quiet))
    show(answer)
    print(f"The report is in {out}")
    return 0


def show(answer: Answer) -> None:
    """Print the figures of an evaluation and its worst classes."""
    metrics, facts = answer.metrics, answer.facts
    title = f"{facts['model']} on {facts['dataset']} {facts['split']}, {facts['subset']} part"
    rows = [
        ["clips", str(sum(each.clips for each in metrics.per_class))],
        ["top-1", f"{metrics.top1:.2f} %"],
        ["top-5", f"{metrics.top5:.2f} %"],
        ["mean class accuracy", f"{metrics.mean_class_accuracy:.2f} %"],
        ["loss", f"{metrics.loss:.4f}"],
    ]
    table(title, ["figure", "value"], rows)
    names = answer.class_names
    tested = [each for each in metrics.per_class if each.accuracy is not None]
    worst = sorted(tested, key=lambda each: each.accuracy or 0.0)[:_WORST_SHOWN]
    shown = [
        [
            names[each.index],
            each.clips,
            f"{each.accuracy:.1f}",
            "" if each.confused_with is None else f"{names[each.confused_with]} ({each.confused_count})",
        ]
        for each in worst
    ]
    which = f"{len(worst)} of {len(tested)}" if len(worst) < len(tested) else f"all {len(tested)}"
    table(f"{which} classes, worst first", ["class", "clips", "accuracy %", "most often taken for"], shown)


def _default_folder(question: Question) -> Path:
    """Return the run's folder for this report; a checkpoint outside a run has it beside itself.

    Another data set or protocol than the run's stands in its name, so that no report takes another one's place.
    """
    folder = question.checkpoint.absolute().parent
    base = folder.parent if folder.name == "checkpoints" else folder
    parts = [question.checkpoint.stem, Path(question.dataset).stem, question.split, question.subset]
    parts += ["raw"] if question.raw else []
    parts += [question.statistics] if question.statistics != "auto" else []
    return base / "evaluation" / "-".join(filter(None, parts))
