"""`split`: show how a prepared data set is divided, and write its parts as text files."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.store.copies import Copies, copies_message, find_copies, write_copies
from ..data.store.fold_choice import fold_protocols
from ..data.store.protocols import PARTS, Split, divide, divided_recording, empty_part, known_protocols
from ..data.store.reader import Store
from ..data.store.split_files import with_split_file, write_split_file
from ..data.store.suitability import split_warnings
from ..settings.data import DataConfig, data_settings, shared_file_problem
from ..settings.splits import PROPERTIES, SPLIT_FILE_ENDING, is_split_file
from ..utils.errors import UserError
from ..utils.files import make_folder, refuse_unwritable
from ..utils.names import file_name, first_few
from ..utils.program import program
from .folders import store_of
from .options import add_shared, examples, quoted
from .split_options import add_split_options, fold_choice
from .terminal import propose, say, table

NEEDS = ("pydantic",)

_CLASSES_NAMED, _VALUES_NAMED, _PROBLEMS_SHOWN = 3, 6, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "--dataset",
        required=True,
        metavar="D",
        help="ntu60, ntu120, nw_ucla, sbu, synthetic, or the path of a data YAML; it must be prepared",
    )
    add_split_options(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write each split as the text file DIR/NAME.txt, for --split"
    )
    add_shared(parser, "--data_root", "--env")
    parser.epilog = examples(
        """
        {program} split --dataset nw_ucla
        {program} split --dataset my_actions.yaml --split_by subject --folds 5 --out splits
        {program} train --model nano_e --dataset my_actions.yaml --split splits/subject_fold1of5.txt
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the parts, and write them if `--out` is given; return the exit code."""
    if arguments.out is not None:
        refuse_unwritable(arguments.out, folder=True)
    config = data_settings(arguments.dataset)
    store = store_of(arguments, arguments.dataset, config)
    chosen = _chosen(arguments, config, store)
    if arguments.out is not None and (problem := shared_file_problem(data.split for data in chosen)):
        raise UserError(f"--out: {problem}")
    rows, problems, copies = [], [], {}
    columns = [name for name in PROPERTIES[:2] if (store.clips[name] != 0).any()]
    for data in chosen:
        parts = divide(store.clips, data)
        rows += [_row(data, part, store.clips[getattr(parts, part)], columns) for part in PARTS]
        copies[data.split] = find_copies(store, parts.train, parts.test)
        problems += _problems(store.clips, data, parts, copies[data.split])
    titles = ["split", "part", "clips", *(f"{name}s" for name in columns), "classes", "without a clip", "values"]
    shown = [index for index in range(len(titles)) if any(row[index] for row in rows)]
    table(
        f"{config.name}, {len(store):,} clips in {store.path}",
        [titles[index] for index in shown],
        [[row[index] for index in shown] for row in rows],
    )
    for problem in problems[:_PROBLEMS_SHOWN]:
        say(problem)
    if len(problems) > _PROBLEMS_SHOWN:
        say(f"{len(problems) - _PROBLEMS_SHOWN} more such remarks, about the other splits.")
    if arguments.out is not None:
        _write(arguments, store, chosen, copies)
    return 0


def _chosen(arguments: argparse.Namespace, config: DataConfig, store: Store) -> list[DataConfig]:
    """Return the data set once for each chosen split, with that as its default protocol."""
    choice, named = fold_choice(arguments), arguments.split
    if choice is not None:
        return fold_protocols(config, store.clips, choice)
    if named and is_split_file(named):
        return [with_split_file(config, store.clips, Path(named))]
    names = [named] if named else known_protocols(store.clips, config)
    if not names:
        raise UserError(f"{config.name} has no protocol. Divide it with --split_by, for example --split_by file.")
    return [replace(config, split=name) for name in names]


def _row(data: DataConfig, part: str, clips: NDArray[np.void], columns: Sequence[str]) -> list[str]:
    """Return the row of one part.

    It has its clips, its known subjects and cameras, its classes and those without a clip, and the values of the
    property that the split divides by.
    """
    present = np.unique(clips["label"])
    missing = [name for label, name in enumerate(data.classes) if label not in present]
    numbers = [str(np.count_nonzero(np.unique(clips[name]))) for name in columns]
    rule = data.protocols.get(data.split)
    values = ""
    if rule is not None and rule.by in PROPERTIES and len(clips):
        values = f"{rule.by} {first_few([*map(str, np.unique(clips[rule.by]).tolist())], _VALUES_NAMED)}"
    classes = first_few(missing, _CLASSES_NAMED)
    return [data.split, part, f"{len(clips)}", *numbers, f"{len(present)}", classes, values]


def _problems(clips: NDArray[np.void], data: DataConfig, parts: Split, copies: Copies) -> list[str]:
    """Return sentences about what keeps a split from being trained, or makes its test easier than it seems."""
    if problem := empty_part(clips, data, data.split, parts) or divided_recording(clips, data, data.split, parts):
        return [f"{problem} Training will refuse it."]
    found = split_warnings(clips, data, data.split, parts)
    if len(copies):
        message = copies_message(clips["name"].tolist(), copies, len(parts.test), "test")
        consequence = " Training will refuse it." if data.copies == "refuse" else ""
        found.append(f"{data.split}: {message}{consequence}")
    return found


def _write(
    arguments: argparse.Namespace, store: Store, chosen: Sequence[DataConfig], copies: Mapping[str, Copies]
) -> None:
    """Write each split as a text file, with a list of its copies if it has any, and say how to use both.

    The name of a split may come from a file of clips that others wrote, and be no name of a file.
    """
    folder = make_folder(arguments.out)
    files = [file_name(data.split) + SPLIT_FILE_ENDING for data in chosen]
    for data, file in zip(chosen, files, strict=True):
        by = data.protocols[data.split].by if data.split in data.protocols else ""
        about = [f"{data.split} of {data.name}, {len(store):,} clips"]
        write_split_file(folder / file, store.clips, divide(store.clips, data), by, about)
        if found := copies[data.split]:
            listed = folder / f"{file_name(data.split)}_copies.txt"
            write_copies(listed, store.clips["name"].tolist(), found)
            say(f"The test clips that are copies are listed in {listed}, to be left out with preprocess --ignore")
    named = "its file" if len(chosen) == 1 else "the file of one split"
    say(f"Written to {folder}: {', '.join(files)}")
    first = quoted(folder / files[0])
    propose(f"To train with {named}: {program()} train --model nano_e --dataset {arguments.dataset} --split {first}")
