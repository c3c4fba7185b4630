"""`start`: from recordings to a trained, evaluated and exported student, by the other commands."""

import argparse
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.store.format import HEADER_FILE
from ..runs.folder import RunFolder
from ..runs.history import find_runs
from ..runs.logbook import read_rows
from ..settings.data import data_settings
from ..settings.splits import DIVIDED_BY, FoldChoice
from ..utils.config import YAML_ENDINGS, config_names
from ..utils.errors import UserError
from ..utils.extras import EXTRAS, import_fault
from ..utils.files import read_json, refuse_unwritable
from ..utils.model_files import model_files
from ..utils.names import file_name
from ..utils.numbers import counted
from ..utils.program import install_command, program
from ..utils.root_folders import is_file
from .inspect import SPOILED
from .options import check_bounds, examples
from .start_checks import choice_of, refuse_undivided, refuse_untrainable, refuse_unused
from .start_recipe import longer_training_advice, training_options, write_recipe
from .start_record import DoneSteps, RecordedCommands
from .terminal import propose, remark, say, table, within_a_step

if TYPE_CHECKING:
    from ..data.store.reader import Store

NEEDS = ("torch",)

_logger = logging.getLogger(__name__)
_MINUTES, _INSPECTING_MINUTES = 5.0, 1.0
_MODEL = "nano_e"
_STEPS = 6
_OF_A_DESCRIPTION = ("format", "layout")  # options that say what a data YAML says
_OF_RECORDINGS = ("raw", "intervals", "source_fps", *_OF_A_DESCRIPTION)
_RECORD_FILE = "steps.json"
_HELD_OUT_ACCURACY = "val_top1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "path",
        metavar="PATH",
        help="raw recordings (a folder or a file) or a prepared data set; with --raw, a data YAML or a known data set",
    )
    parser.add_argument("--raw", type=Path, metavar="DIR", help="recordings of PATH, a data YAML or a known data set")
    parser.add_argument("--name", metavar="NAME", help="name of the data set (default: that of PATH)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for all results (default: ./NAME-start)")
    parser.add_argument("--format", metavar="F", help="format of the recordings, if it is not recognised")
    parser.add_argument("--layout", metavar="L", help="their joint layout, such as coco17, or a layout YAML")
    parser.add_argument("--intervals", type=Path, metavar="FILE", help="table of labelled parts of long recordings")
    parser.add_argument(
        "--source_fps",
        type=float,
        metavar="FPS",
        help="frames per second, if the recordings do not state it",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help=f"approximate time to train on this machine (default: {_MINUTES:g})",
    )
    parser.add_argument(
        "--model", choices=list(model_files()), metavar="SIZE", help=f"{', '.join(model_files())} (default: {_MODEL})"
    )
    parser.add_argument(
        "--split_by",
        choices=DIVIDED_BY,
        help="test a quarter of the subjects, cameras, ..., which are not trained on (default: subjects if all are "
        "known, else a quarter of each class at random)",
    )
    parser.add_argument(
        "--finetune", metavar="PATH", help="start from the weights of a run or a checkpoint, whatever its classes"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="random seed (default: 0)")
    parser.add_argument("--force", action="store_true", help="train even if something would spoil training")
    parser.epilog = examples(
        """
        {program} start ./recordings --layout coco17
        {program} start poses.csv --layout coco17_2d --minutes 10 --model small_e
        {program} start ./recordings --layout coco17 --split_by camera --name by_camera
        {program} start gestures.yaml --raw ./recordings --finetune runs/run-2026-11-23
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Run every step; return the exit code, that of `inspect` if something would spoil training."""
    try:
        return _run_steps(arguments)
    except KeyboardInterrupt:
        say("To go on from here: the same `start` again.")
        raise


def _run_steps(arguments: argparse.Namespace) -> int:
    from ..data.preparation.recognise import name_of_recordings

    name = arguments.name or file_name(name_of_recordings(Path(arguments.path)))
    if arguments.name and file_name(name) != name:
        raise UserError(f"--name {name} should be a plain name, such as gestures: it becomes that of a folder.")
    out = (arguments.out or Path(f"{name}-start")).absolute()
    steps = RecordedCommands(_STEPS, DoneSteps(out / _RECORD_FILE), arguments.quiet)
    _agree(arguments, steps.done)
    check_bounds(arguments, minutes=(1, 10_000), seed=(0, 2**32 - 1))
    _refuse_unusable_weights(arguments.finetune)
    refuse_unwritable(out, folder=True)
    dataset, store = _prepare(steps, arguments, out)
    _tell_size(store)
    config = data_settings(dataset)
    choice = choice_of(arguments.split_by, store, config)
    described = [store.path / HEADER_FILE, Path(dataset)]
    code = steps.command_once(
        "inspect the clips",
        "inspect",
        *(store.path, "--dataset", dataset, "--out", out / "inspect.html"),
        *("--minutes", f"{_INSPECTING_MINUTES:g}", "--seed", arguments.seed),
        reads=described,
        makes=out / "inspect.html",
    )
    if code == SPOILED and not arguments.force:
        say(f"Training was not started: something would spoil it, see {out / 'inspect.html'}. --force trains anyway.")
        return code
    recipe = out / "recipe.yaml"
    with steps.step("suggest settings"):
        write_recipe(arguments, store, config, choice, dataset, recipe)
    steps.done.note_options({option: getattr(arguments, option) for option in _DEFAULTS})
    _train(steps, arguments, out, dataset, store.path, choice)
    exported = _export(steps, out, store.path)
    _summarise(steps, arguments, out, dataset, store.path, choice, exported)
    return 0


_DEFAULTS = {"minutes": _MINUTES, "model": _MODEL, "split_by": None, "finetune": None, "seed": 0}


def _agree(arguments: argparse.Namespace, done: DoneSteps) -> None:
    """Set the options that were not given to those that the folder was started with, or to their defaults.

    Raises:
        UserError: the folder was started with others.
    """
    for option, default in _DEFAULTS.items():
        setattr(arguments, option, done.agreed(option, getattr(arguments, option), default))


def _refuse_unusable_weights(finetune: str | None) -> None:
    """Refuse a checkpoint to fine-tune that cannot be read, before anything long begins.

    Raises:
        UserError: it is missing or damaged.
    """
    if finetune:
        from ..runs.checkpoint import read_checkpoint
        from ..runs.history import resolve_checkpoint

        read_checkpoint(resolve_checkpoint(Path(finetune)))


def _tell_size(store: "Store") -> None:
    """Warn of clips that do not fit into the memory."""
    from ..data.loading.placement import too_large_for_memory

    if told := too_large_for_memory(store):
        _logger.warning("%s", told)


def _prepare(steps: RecordedCommands, arguments: argparse.Namespace, out: Path) -> "tuple[str, Store]":
    """Prepare the recordings; return the data set's name or YAML, and its store."""
    from ..data.preparation.recognise import name_of_recordings, recognised
    from ..data.store.reader import open_store

    named, path = arguments.path, Path(arguments.path)
    more: tuple[object, ...] = ("--intervals", arguments.intervals) if arguments.intervals else ()
    more += ("--set", f"data.source_fps={arguments.source_fps:g}") if arguments.source_fps is not None else ()
    if is_file(path / HEADER_FILE):
        refuse_unused(arguments, _OF_RECORDINGS, f"{path} is a prepared data set, which is used as it is")
        return _prepared(path)
    if named in config_names("data") or named.endswith(YAML_ENDINGS):
        if arguments.raw is None:
            raise UserError(f"Name the recordings of {named} with --raw DIR.")
        refuse_unused(arguments, _OF_A_DESCRIPTION, f"{named} describes its recordings, with their format and layout")
        config = data_settings(named)
        store = out / "data" / config.name
        refuse_undivided(arguments, config, arguments.raw)
        _preprocess(steps, "--dataset", named, "--raw", arguments.raw, "--out", store, *more)
        dataset = named
    else:
        if not path.exists():
            raise UserError(f"There is no {path}: name a folder or a file of recordings, or a data YAML with --raw.")
        if arguments.raw is not None:
            raise UserError("--raw goes with a data YAML or a known data set: omit it, PATH names the recordings.")
        found = recognised(path, arguments.format or "", arguments.layout or "")
        if found.name in config_names("data"):
            return _prepare(steps, argparse.Namespace(**{**vars(arguments), "path": found.name, "raw": path}), out)
        refuse_undivided(arguments, found, path)
        store = out / "data" / (arguments.name or file_name(name_of_recordings(path)) or "recordings")
        described = ("--format", found.format, "--raw", path, "--layout", arguments.layout or found.layout)
        _preprocess(steps, *described, "--out", store, *more)
        dataset = str(_yaml_beside(store))
    opened = open_store(store)
    refuse_untrainable(opened, dataset)
    return dataset, opened


def _preprocess(steps: RecordedCommands, *arguments: object) -> None:
    """Prepare the recordings; again, if there are others than in an earlier call."""
    from ..data.preparation.preprocess import OtherRecordings

    with steps.step("prepare the recordings"):
        try:
            steps.call("preprocess", *arguments)
        except OtherRecordings:
            remark("  The recordings, or how they are read, have changed since the last call: they are prepared again.")
            steps.call("preprocess", *arguments, "--overwrite")


def _prepared(path: Path) -> "tuple[str, Store]":
    """Return the data set that a store was prepared for, as its name or YAML, and the store.

    Raises:
        UserError: the data set is not known, or cannot be trained.
    """
    from ..data.store.reader import open_store

    store, beside = open_store(path), _yaml_beside(path.absolute())
    if not is_file(beside) and store.name not in config_names("data"):
        raise UserError(
            f"{path} is a prepared data set, but there is no {beside.name} beside it that describes it: put its data "
            "YAML there, under this name."
        )
    dataset = str(beside) if is_file(beside) else store.name
    refuse_untrainable(store, dataset)
    return dataset, store


def _yaml_beside(store: Path) -> Path:
    return store.with_name(f"{store.name}.yaml")


def _train(
    steps: RecordedCommands,
    arguments: argparse.Namespace,
    out: Path,
    dataset: str,
    store: Path,
    choice: FoldChoice | None,
) -> None:
    steps.command_once(
        "train a student",
        "train",
        *training_options(arguments, out, dataset, store, choice),
        reads=[out / "recipe.yaml", store / HEADER_FILE, Path(dataset)],
        makes=_last(out),
        resumes=True,
    )
    steps.command_once(
        "evaluate it on the test clips",
        "evaluate",
        *("--checkpoint", _trained(out), "--data_root", store, "--out", out / "evaluation"),
        reads=[_trained(out), store / HEADER_FILE],
        makes=out / "evaluation" / "metrics.json",
    )


def _export(steps: RecordedCommands, out: Path, store: Path) -> Path | None:
    """Export the model; return its file, None if the packages for it are missing."""
    if any(import_fault(package) is not None for package in (*EXTRAS["deploy"], *EXTRAS["runtime"])):
        with steps.step("export it"):
            _logger.warning(
                "The model is not exported: that needs packages. Install them with: %s, and call `start` again.",
                install_command("last-har[deploy]"),
            )
        return None
    model = out / "model.onnx"
    arguments = ("--checkpoint", _trained(out), "--data_root", store, "--out", model)
    steps.command_once("export it", "export", *arguments, reads=[_trained(out), store / HEADER_FILE], makes=model)
    return model


def _trained(out: Path) -> Path:
    """Return the checkpoint of the newest run that is used: the best one, or the last.

    The best is that of held-out training clips. If there are none, the test part has chosen it, and its accuracy there
    would be too high. If the last epoch is as good on them, it is used: the best is the first of those that are equal,
    and among few clips that may be one that has hardly trained.
    """
    run = RunFolder(_run(out))
    if run.read_config().get("validation") != "split" or not run.best.exists():
        return run.last
    accuracies = [float(row.get(_HELD_OUT_ACCURACY, 0.0)) for row in read_rows(run.logbook)]
    return run.last if accuracies and accuracies[-1] >= max(accuracies) else run.best


def _run(out: Path) -> Path:
    """Return the folder of the newest run."""
    return find_runs(out / "runs")[0].path


def _last(out: Path) -> Path:
    """Return the last checkpoint of the newest run; a path where nothing is if there is no run."""
    runs = find_runs(out / "runs")
    return RunFolder(runs[0].path if runs else out / "runs" / "run").last


def _summarise(
    steps: RecordedCommands,
    arguments: argparse.Namespace,
    out: Path,
    dataset: str,
    store: Path,
    choice: FoldChoice | None,
    exported: Path | None,
) -> None:
    rows = [[title, f"{seconds / 60:.1f}"] for title, seconds in steps.seconds.items()]
    with within_a_step():
        table("minutes", ["step", "minutes"], [*rows, ["all", f"{sum(steps.seconds.values()) / 60:.1f}"]])
    following = {
        "look at the clips, each beside what training sees of it": f"view {shlex.quote(str(_run(out)))} --augmented",
        **longer_training_advice(RunFolder(_run(out)), training_options(arguments, out, dataset, store, choice)),
        "list the runs": f"runs --output_root {shlex.quote(str(out / 'runs'))}",
    }
    if is_file(out / "evaluation" / "metrics.json"):
        found = read_json(out / "evaluation" / "metrics.json")
        share, clips = found.get("top1", 0), found.get("clips", 0)
        say(f"Result: top-1 accuracy {share:.1f} % on {counted(clips, 'clip')} that were not trained on.")
    propose("Next:")
    for what, command in following.items():
        propose(f"  {what}:\n    {program()} {command}")
    if exported is not None:
        propose(f"  classify recordings:\n    {program()} predict --model {shlex.quote(str(exported))} RECORDING")
        propose(f"  recognise a recording in Python:\n    last.Recognizer({str(exported)!r})(joints).label")
    if {"train a student", "evaluate it on the test clips"} <= set(steps.kept):
        say(
            "Nothing was trained: everything was done already. Use another --name or --out to start from the beginning."
        )
    if exported is not None:
        say(f"Exported model: {exported}")
    say(f"Everything is in {out}")
