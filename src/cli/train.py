"""`train`: train a model on a prepared data set."""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runs.history import LATEST
from ..utils.config import MODEL_FILES
from ..utils.dotted_keys import key_of
from ..utils.errors import UserError
from ..utils.program import program
from ..utils.spread import MeanDeviation
from .folders import checkpoint_of, run_to_resume
from .options import GivenOnce, add_shared, examples, numbers, time_limit
from .split_options import add_fold_option, add_split_options, fold_choice
from .terminal import progress, propose, say, table

if TYPE_CHECKING:
    from ..experiments.run import EndCallback, Result
    from ..settings.run import RunConfig

NEEDS = ("torch",)

_EXAMPLES = """
    {program} train --model base_e --dataset ntu60 --env kaggle --amp
    {program} train --model nano_e --dataset ntu60 --epochs 2 --batch_size 4
    {program} train --model nano_e --dataset synthetic --epochs 15 --set learning_rate=0.05
    {program} train --config nw_ucla
    {program} train --config runs/run-2026-11-23/config.yaml
    {program} train --model base_e --dataset ntu60 --max_hours 8.5 --resume auto
    {program} train --resume runs/run-2026-11-23
    {program} train --resume runs/run-2026-11-23/checkpoints/best_model.pth --set learning_rate=0.005
    {program} train --config nw_ucla --seeds 0,1,2
    {program} train --model base_e --dataset my_actions.yaml --split_by subject --folds 5
    torchrun --nproc_per_node 4 -m last train --config ntu60 --model base --amp --batch_size 128
    {program} train --model base_e --dataset my_actions.yaml --init_from pretrained.pth
"""

# What distinguishes the runs of a series, with the title of its column.
_SERIES_KEYS = {"split": "fold", "seed": "seed"}
# Options that set the configuration key of their name.
_KEYS = (
    *("epochs", "batch_size", "amp", "compile", "seed", "max_hours", "device"),
    *("init_from", "data_root", "output_root"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--model", metavar="M", help=f"one of {', '.join(MODEL_FILES)}, or the path of a model's YAML")
    parser.add_argument(
        "--dataset", metavar="D", help="ntu60, ntu120, nw_ucla, sbu, synthetic, or the path of a data YAML"
    )
    add_split_options(parser)
    add_fold_option(parser)
    parser.add_argument(
        "--config",
        action=GivenOnce,
        metavar="FILE",
        default="",
        help="a recipe: a YAML file, a built-in name such as nw_ucla, or a run's config.yaml",
    )
    add_shared(parser, "--epochs", "--batch_size", "--amp", "--compile")
    parser.add_argument("--seed", type=int, metavar="N", help="random seed (default: 0)")
    parser.add_argument(
        "--seeds", type=numbers, metavar="0,1,2", help="train once per seed and print mean and deviation"
    )
    parser.add_argument(
        "--max_hours",
        type=time_limit,
        metavar="H",
        help="save and stop after H hours; continue with --resume (default: 0, never)",
    )
    parser.add_argument(
        "--resume",
        metavar="PATH|auto|latest",
        default="",
        help="resume a run with its own configuration, given its folder or checkpoint; auto: the newest matching run, "
        "here or in an input folder, else a new one; latest: the newest run of all",
    )
    parser.add_argument(
        "--init_from",
        metavar="PATH",
        help="fine-tune: start from the backbone of a checkpoint, a run or `latest`, with a new classifier",
    )
    add_shared(parser, "--env", "--data_root", "--output_root", "--device", "--set")
    parser.epilog = examples(_EXAMPLES)


def config_from(arguments: argparse.Namespace, further: Mapping[str, Any] | None = None) -> "RunConfig":
    """Return the configuration of the options of `train`; a run that is resumed by its path has its own.

    In `arguments`, `latest` is replaced by the run that it means, and `explicit_keys` lists the keys that the user set.

    Args:
        arguments: the parsed options.
        further: values of other flags, by dotted key.

    Raises:
        UserError: an option is impossible, or the run to resume does not exist.
    """
    from ..experiments.config import resolve
    from ..runs.folder import RunFolder

    arguments.resume = run_to_resume(arguments)
    if arguments.init_from == LATEST:
        arguments.init_from = str(checkpoint_of(arguments, LATEST))
    flags = {key: getattr(arguments, key) for key in _KEYS} | {"data.split": arguments.split, **(further or {})}
    arguments.explicit_keys = [*map(key_of, arguments.set)]
    arguments.explicit_keys += [key for key, value in flags.items() if value is not None]
    recipe = arguments.config
    if arguments.resume not in ("", "auto") and not recipe:
        recipe = str(RunFolder.containing(Path(arguments.resume)).config)
    return resolve(
        model=arguments.model or "",
        dataset=arguments.dataset or "",
        environment=arguments.env or "",
        recipe=recipe,
        overrides=arguments.set,
        flags=flags,
    )


def run(arguments: argparse.Namespace) -> int:
    """Train and show the result; return the exit code."""
    return train_and_show(config_from(arguments), arguments, "train")


def train_and_show(config: "RunConfig", arguments: argparse.Namespace, command: str) -> int:
    """Train with `config`, once or once per seed and fold, and show the results; return the exit code of `command`."""
    from ..plots.figures import draws_or_warns
    from ..runs.pictures import PICTURES, draw_run
    from ..runtime.distributed import rank

    if arguments.seeds and arguments.seed is not None:
        raise UserError("Give --seed or --seeds, not both.")
    on_end = draw_run if rank() == 0 and draws_or_warns(PICTURES) else None
    results, file = _train(config, arguments, on_end)
    result = results[-1]
    if rank() != 0:
        return _exit_code(result)
    if result.stopped is not None:
        show_pictures(result.run.path)
        here = f"{program()} {command} --resume {shlex.quote(str(result.run.path))}"
        elsewhere = f"{program()} {command} --resume latest"
        if file is not None:
            here = elsewhere = "the same command with --resume auto"
        say(f"To resume: {here}")
        if config.environment == "kaggle":
            say(f"In another session, with the output of this one attached: {elsewhere}")
        return _exit_code(result)
    if file is not None:
        _show_series(results, len(config.data.classes))
        what = "folds" if len({each.summary["split"] for each in results}) > 1 else "seeds"
        say(f"The results of all {what} are in {file}")
    else:
        _show_one(result, len(config.data.classes))
    show_pictures(result.run.path)
    say(f"The run is in {result.run.path}")
    return 0


def _train(
    config: "RunConfig", arguments: argparse.Namespace, on_end: "EndCallback | None"
) -> "tuple[list[Result], Path | None]":
    """Train what the options choose; return the results, and the file of those of a series."""
    from ..experiments.folds import train_folds, with_split  # they import torch, which `--help` does not need
    from ..experiments.run import train
    from ..experiments.seeds import train_seeds

    choice, seeds, resume = fold_choice(arguments), arguments.seeds or (), arguments.resume
    shown, keys = progress(arguments.quiet), arguments.explicit_keys
    if choice is not None and not choice.fold:
        return train_folds(config, choice, seeds, resume, shown, explicit_keys=keys, on_end=on_end)
    config = with_split(config, choice)
    if seeds:
        return train_seeds(config, seeds, resume, shown, explicit_keys=keys, on_end=on_end)
    return [train(config, resume, shown, explicit_keys=keys, on_end=on_end)], None


def show_pictures(run: Path) -> None:
    """Print the paths of a run's pictures, and the command for TensorBoard."""
    from ..runs.pictures import pictures_of

    if pictures := pictures_of(run):
        beside = f", the confusion matrix of its last test in {pictures[1].name} beside it" if len(pictures) > 1 else ""
        say(f"The training curve is in {pictures[0]}{beside}")
    show_tensorboard(run, [run])


def show_tensorboard(folder: Path, runs: "Sequence[Path]") -> None:
    """Print the command that shows the runs of a folder in TensorBoard; nothing if it is not installed."""
    if find_spec("tensorboard") is not None and any((run / "tensorboard").is_dir() for run in runs):
        propose(f"In TensorBoard: tensorboard --logdir {shlex.quote(str(folder))}")


def _exit_code(result: "Result") -> int:
    """Return the exit code 0, or raise the exception of the signal that stopped the run."""
    if result.stopped is not None:
        result.stopped.raise_signal()
    return 0


def _show_one(result: "Result", classes: int) -> None:
    from ..runs.results import read_run

    summary = result.summary
    measures = result.run.read_measures()
    metrics = measures.metrics
    shown = [
        [part, *(each.text(summary[f"{part}_{each.name}"]).strip() for each in metrics)] for part in ("best", "final")
    ]
    table(read_run(result.run.path).title, ["epoch", *(f"{each.title} {each.unit}".strip() for each in metrics)], shown)
    for note in measures.notes(classes):
        say(note)


def _show_series(results: "Sequence[Result]", classes: int) -> None:
    """Print a row per run, then mean and standard deviation, and over the clips of all folds together."""
    from ..experiments.series import pooled
    from ..runs.results import read_run

    measures = results[0].run.read_measures()
    figures = measures.figures()
    keys = {key: title for key, title in _SERIES_KEYS.items() if len({each.summary[key] for each in results}) > 1}
    keys = keys or {"seed": "seed"}
    if "split" in keys:
        keys["test_clips"] = "test clips"

    rows = [
        [*(str(each.summary[key]) for key in keys), *(f"{each.summary[name]:.2f}" for name in figures)]
        for each in results
    ]
    blank = [""] * (len(keys) - 1)
    together = [MeanDeviation.of([float(each.summary[name]) for each in results]).text() for name in figures]
    rows.append(["mean", *blank, *together])
    if "split" in keys:
        rows.append(["all test clips", *blank, *(f"{value:.2f}" for value in pooled(results).values())])
    titles = [f"{each.title} {each.unit}".strip() for each in measures.metrics]
    columns = [*keys.values(), *(f"{part} {title}" for part in ("best", "final") for title in titles)]
    first = read_run(results[0].run.path)
    table((replace(first, split="") if "split" in keys else first).title, columns, rows)
    for note in measures.notes(classes):
        say(note)
