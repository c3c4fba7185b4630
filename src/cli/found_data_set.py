"""`preprocess` without a data YAML: find out what the recordings are, and write the YAML beside the store."""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..data.preparation.discover import described, discover
from ..data.preparation.intervals.plans import table_of
from ..settings.data import DataConfig
from ..utils.config import YAML_ENDINGS, Layer, config_names, merge, override_layer, readable_overrides
from ..utils.dotted_keys import flatten
from ..utils.errors import UserError
from ..utils.files import atomic_path
from ..utils.program import program
from ..utils.yaml_text import yaml_of
from .options import quoted
from .terminal import propose, remark, say
from .unread_settings import refuse_unread_intervals


@dataclass
class DataSettings:
    """The part of a configuration that `preprocess` reads."""

    data: DataConfig = field(default_factory=DataConfig)


@dataclass(frozen=True)
class FoundDataSet:
    """A data set that was found, and the YAML that describes it.

    Attributes:
        config: the data set.
        path: where its YAML is written.
        text: the content of the YAML.
        tables: the tables of intervals of its recordings, if they are long ones.
    """

    config: DataConfig
    path: Path
    text: str
    tables: Sequence[Path] = ()


def find_data_set(arguments: argparse.Namespace) -> FoundDataSet:
    """Return the data set that the options `--raw`, `--format`, `--layout` and `--out` describe.

    Raises:
        UserError: an option is missing, the recordings cannot be described, or another YAML is in the way.
    """
    missing = [f"--{name}" for name in ("format", "layout", "out") if not getattr(arguments, name)]
    if missing:
        raise UserError(
            f"Name the data set with --dataset; or, to have one described, give {' and '.join(missing)} too, such as "
            f"{program()} preprocess --format folder --raw DIR --layout coco17 --out data/NAME"
        )
    out = arguments.out.absolute()
    name = out.name
    if name in config_names("data"):
        raise UserError(f"{name} is the name of a known data set: use --dataset {name}, or choose another --out.")
    given = _given(arguments, name)
    refuse_unread_intervals(arguments.set, given)
    chosen = override_layer(arguments.set)
    values = chosen.values.get("data", {})
    tables = table_of(given) if given.intervals.file else []
    config, about = discover(given, arguments.raw, tables, given=flatten(values), partial=arguments.partial)
    for sentence in about:
        remark(sentence)
    written = replace(config, intervals=replace(config.intervals, file=_seen_from(out.parent, config.intervals.file)))
    given_too = f" --intervals {quoted(arguments.intervals)}" if arguments.intervals else ""
    head = (
        f"# Found by: preprocess --format {config.format} --raw {quoted(arguments.raw)}{given_too}. It may be edited.\n"
    )
    text = head + yaml_of(described(written, _layout_files(arguments, chosen), values))
    found = FoundDataSet(config, out.with_name(f"{name}.yaml"), text, tables)
    if found.path.exists() and not arguments.overwrite and _read(found.path) != found.text:
        raise UserError(
            f"{found.path} is there already and has other content. Use it with --dataset {quoted(found.path)}, choose "
            "another --out, or replace it and the store with --overwrite."
        )
    return found


def save_data_set(found: FoundDataSet) -> None:
    """Write the YAML, and say what to do next."""
    with atomic_path(found.path) as temporary:
        temporary.write_text(found.text, encoding="utf-8")
    say(f"Data YAML: {found.path}")
    propose(f"Next: {program()} train --model nano_e --dataset {quoted(found.path)}")


def _given(arguments: argparse.Namespace, name: str) -> DataConfig:
    """Return the part of the description that the options give."""
    own = {"name": name, "format": arguments.format, "layout": arguments.layout}
    own |= {"intervals.file": str(arguments.intervals)} if arguments.intervals else {}
    assignments: Sequence[str] = [f"data.{key}={json.dumps(value)}" for key, value in own.items()]
    overrides, unreadable = readable_overrides(arguments.set)
    return merge(DataSettings(), [override_layer(assignments), overrides], unreadable).data


def _layout_files(arguments: argparse.Namespace, chosen: Layer) -> dict[str, str]:
    """Return the paths of layout files, by their keys in a data YAML; one that is set replaces `--layout`."""
    own = {"layout": arguments.layout} if arguments.layout.endswith(YAML_ENDINGS) else {}
    if "layout" in chosen.values.get("data", {}):
        own = {}
    own |= {section.removeprefix("own_"): path for section, path in chosen.layout_files.items()}
    return {key: str(Path(path).absolute()) for key, path in own.items()}


def _seen_from(folder: Path, file: str) -> str:
    """Return the path of a file relative to a folder, or as it is if it is on another drive."""
    try:
        return Path(os.path.relpath(Path(file).expanduser(), folder)).as_posix() if file else ""
    except ValueError:
        return str(Path(file).absolute())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
