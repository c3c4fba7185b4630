"""Configuration: reading YAML files and `--set key=value`, merging them, and refusing what is invalid.

Each source is a layer of one tree whose shape is a dataclass. Layers are merged, lowest first. Each value is validated
against its field before anything is built, and all problems are reported at once. Values are literal: `${...}` is
refused, so no file reads environment variables.
"""

import importlib.resources
import os
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from .dotted_keys import assign, set_nested, value_at
from .errors import UserError, missing_extra
from .files import read_whole
from .foreign_text import short
from .limits import annotations_of, entry_type
from .names import suggestion
from .overlay import overlaid, without_removals
from .system_errors import reason
from .yaml_text import parse_with_texts, yaml_of

MODEL_FILES = {
    "nano_e": "last_e_nano",
    "small_e": "last_e_small",
    "base_e": "last_e_base",
    "large_e": "last_e_large",
    "small": "last_small",
    "base": "last_base",
    "large": "last_large",
}
YAML_ENDINGS = (".yaml", ".yml")
# A key of `data` that may be the path of a layout file -> the section that holds the content of the file.
_LAYOUT_SECTIONS = {"layout": "own_layout", "source_layout": "own_source_layout"}
_KAGGLE_VARIABLE = "LAST_KAGGLE"
_YAML_LIMIT_BYTES = 1 << 20
_MOST_PROBLEMS = 30  # reported per layer
_LONGEST_KEY = 100

Schema = TypeVar("Schema")


@dataclass(frozen=True)
class Layer:
    """One part of a configuration.

    Attributes:
        origin: the name of its source for messages.
        values: its settings.
        texts: the same tree with every value as written in the source. A setting whose type is text takes its value
            from here: the class `no` is not False, nor `010` the number 8.
        emptied: keys, as sequences of names, whose mappings were emptied before `values` were set in them.
        layout_files: the files from which its sections `own_layout` and `own_source_layout` were read.
        shipped: whether it is a file of the program, whose values are valid.
        typed: whether its settings are typed in a command, where no lines can be commented out.
    """

    origin: str
    values: Mapping[str, Any]
    texts: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    emptied: Collection[Sequence[str]] = ()
    layout_files: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    shipped: bool = field(default=False, compare=False, repr=False)
    typed: bool = field(default=False, compare=False, repr=False)


def config_folder() -> Path:
    """Return the folder of the configuration files in the package."""
    return Path(str(importlib.resources.files("last.configs")))


def config_names(section: str) -> list[str]:
    """Return the names of the configuration files in one folder, such as `data`."""
    return sorted(path.stem for path in (config_folder() / section).glob("*.yaml"))


def kaggle_folder() -> Path:
    """Return the folder that identifies a Kaggle machine; the variable LAST_KAGGLE overrides it."""
    return Path(os.environ.get(_KAGGLE_VARIABLE) or "/kaggle")


def detect_environment(flag: str = "", kaggle_mark: Path | None = None) -> str:
    """Return the environment's name: the flag if given, `kaggle` on a Kaggle machine, else `local`."""
    if flag:
        return flag
    return "kaggle" if (kaggle_mark or kaggle_folder()).exists() else "local"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        UserError: it is missing, too large, not YAML, or not a mapping.
    """
    return dict(file_layer(path).values)


def file_layer(path: Path) -> Layer:
    """Return the layer of one YAML file, whose top level is a mapping.

    Raises:
        UserError: it is missing, too large, not YAML, or not a mapping.
    """
    content = _read_text(path)
    try:
        values, texts = parse_with_texts(content)
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    if values is None:
        return Layer(str(path), {})
    if not isinstance(values, dict):
        raise UserError(f"{path} should hold `key: value` lines at its top level.")
    shipped = path.is_relative_to(config_folder())
    return _with_own_layouts(Layer(str(path), values, texts, shipped=shipped), path.parent)


def _with_own_layouts(layer: Layer, folder: Path) -> Layer:
    """Insert the contents of layout files that a data set names by their paths, relative to `folder`.

    A run's configuration and its checkpoints then contain the layouts and do not depend on the files.
    """
    for key, section in _LAYOUT_SECTIONS.items():
        layer = _with_own_layout(layer, folder, key, section)
    return layer


def _with_own_layout(layer: Layer, folder: Path, key: str, section: str) -> Layer:
    data = layer.texts.get("data")
    named = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(named, str) or not named.endswith(YAML_ENDINGS):
        return layer
    path = folder / Path(named).expanduser()
    try:
        own = completed_layout(file_layer(path))
    except UserError as error:
        raise UserError(f"{layer.origin}: data.{key}: {error}") from error

    def replaced(values: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
        about = {key: layout_name(path), section: {**content, "name": str(path)}}
        return {**values, "data": {**values["data"], **about}}

    values, texts = replaced(layer.values, own.values), replaced(layer.texts, own.texts)
    return replace(layer, values=values, texts=texts, layout_files={**layer.layout_files, section: str(path)})


def layout_name(path: Path) -> str:
    """Return the name of the layout in the YAML file at `path`."""
    name = path.name
    while name.endswith(YAML_ENDINGS):
        name = Path(name).stem
    return name


def completed_layout(own: Layer, above: Sequence[Path] = ()) -> Layer:
    """Return a layout file with the keys that it inherits from the layout that `like` names.

    `like` is the name of a layout, or the path of a layout file beside this one.

    Args:
        own: the file.
        above: the files that inherit from it, which it cannot inherit from.

    Raises:
        UserError: there is no layout with the name in `like`, or it inherits from this one.
    """
    like = own.texts.get("like")
    if not like:
        return own
    if not isinstance(like, str) or not (like.endswith(YAML_ENDINGS) or like in config_names("layout")):
        raise UserError(f"{own.origin}: like: {unknown_name('layout', str(like), config_names('layout'))}")
    here = Path(own.origin)
    if like.endswith(YAML_ENDINGS):
        path = here.parent / Path(like).expanduser()
    else:
        path = config_folder() / "layout" / f"{like}.yaml"
    files = (*above, here.resolve())
    if path.resolve() in files:
        raise UserError(
            f"{own.origin}: like: {like} leads back to a file that is like this one. One of them has to be complete: "
            "joints should be names, in the order of the format."
        )
    base = completed_layout(file_layer(path), files)
    values, texts = {**base.values, **own.values, "like": ""}, {**base.texts, **own.texts, "like": ""}
    return replace(own, values=values, texts=texts)


def _read_text(path: Path) -> str:
    try:
        return read_whole(path, _YAML_LIMIT_BYTES, "a configuration").decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"Cannot read the configuration {path}: {reason(error)}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error


def named_layer(section: str, name: str, what: str) -> Layer:
    """Return the layer `configs/<section>/<name>.yaml`.

    Raises:
        UserError: there is no such file; the message has the nearest name and all names.
    """
    names = config_names(section)
    if name not in names:
        raise UserError(unknown_name(what, name, names))
    return replace(file_layer(config_folder() / section / f"{name}.yaml"), origin=f"configs/{section}/{name}.yaml")


def data_layer(name: str) -> Layer:
    """Return the layer of a `--dataset` value: a known name, or the path of a YAML file."""
    if name.endswith(YAML_ENDINGS):
        return file_layer(Path(name))
    return named_layer("data", name, "dataset")


def section_layer(layer: Layer, section: str) -> Layer:
    """Return one section of a layer as a layer of its own, whose keys are the section's."""
    values = layer.values.get(section)
    if not isinstance(values, Mapping):
        raise UserError(f"{layer.origin} should have a section `{section}:` with its keys below.")
    texts = layer.texts.get(section)
    emptied = [path[1:] for path in layer.emptied if path[0] == section and len(path) > 1]
    return replace(layer, values=values, texts=texts if isinstance(texts, Mapping) else {}, emptied=emptied)


def unknown_name(what: str, name: str, known: Sequence[str]) -> str:
    """Return the message for an unknown name, with the nearest known one."""
    return f"There is no {what} {short(name)}.{suggestion(name, known)} Known: {', '.join(known)}."


def override_layer(assignments: Sequence[str]) -> Layer:
    """Return the layer of `--set key=value ...`: dots separate sections, values are YAML, a later one wins.

    Raises:
        UserError: assignments have no key or no `=`, or their values are not YAML.
    """
    layer, problems = readable_overrides(assignments)
    if len(problems) > 1:
        raise configuration_error(problems)
    if problems:
        raise UserError(problems[0])
    return layer


def readable_overrides(assignments: Sequence[str]) -> tuple[Layer, list[str]]:
    """Return the layer of the assignments that can be read, and the problems of the others; see `override_layer`."""
    values: dict[str, Any] = {}
    texts: dict[str, Any] = {}
    emptied: list[Sequence[str]] = []
    problems = []
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        path = key.strip().split(".")
        if not equals or not all(path):
            problems.append(f"--set {short(assignment)} should look like key=value, for example --set epochs=20.")
            continue
        try:
            value, written = parse_with_texts(text)
        except ValueError as error:
            problems.append(f"--set {short(assignment)}: the value is not valid YAML: {error}")
            continue
        emptied += assign(values, path, value)
        assign(texts, path, written)
    return _with_own_layouts(Layer("--set", values, texts, emptied, typed=True), Path()), problems


def configuration_error(problems: Sequence[str]) -> UserError:
    """Return the error for a configuration with these problems, each in its line."""
    return UserError("The configuration cannot be used:\n" + "\n".join(f"  {line}" for line in problems), problems)


def merge(schema: Schema, layers: Sequence[Layer], problems: Sequence[str] = ()) -> Schema:
    """Merge `layers` over the defaults in `schema`, a dataclass instance, and return a new instance.

    Args:
        schema: the defaults.
        layers: the lowest first.
        problems: those of what could not be read as a layer, reported with the others.

    Raises:
        UserError: keys are unknown, values have the wrong type or are impossible; all of them in one message.
    """
    values: Any = _mappings_of(schema)
    found = list(problems)
    for layer in layers:
        kept, removed = without_removals(schema, layer.values, layer.texts, of_file=not layer.typed)
        accepted, wrong = _checked(schema, replace(layer, values=kept))
        found += wrong
        for part in (*map(_emptying, layer.emptied), accepted, removed):
            values = overlaid(schema, values, part)
    if found:
        raise configuration_error(found)
    result: Schema = _filled(schema, values)
    return result


def to_yaml(config: Any) -> str:
    """Return a configuration dataclass as YAML, from which `merge` restores the same values."""
    return yaml_of(asdict(config))


def _checked(schema: Any, layer: Layer) -> tuple[dict[str, Any], list[str]]:
    """Return a layer's values with the types of the schema, or its problems.

    Without pydantic, files of the program are used without validation, so that readers and models can run.

    Raises:
        UserError: the values are the user's, and pydantic is not installed.
    """
    try:
        from .validation import validated  # not at import, since `--help` does not need pydantic
    except ModuleNotFoundError as error:
        if error.name != "pydantic":
            raise
        if layer.shipped or not layer.values:
            return dict(layer.values), []
        raise missing_extra("pydantic", "prepare", "Reading a configuration") from error

    checked, problems = validated(schema, layer.values, layer.texts)
    messages = [f"{_location(layer, path)}: {problem}" for path, problem in islice(problems, _MOST_PROBLEMS)]
    if len(messages) == _MOST_PROBLEMS:
        messages.append(f"{layer.origin}: there may be more problems.")
    return checked, messages


def _location(layer: Layer, path: Sequence[str]) -> str:
    """Return where a setting is written: the layer and the key, or the layout file and its key."""
    *sections, key = path
    if sections and sections[-1] in layer.layout_files:
        return f"{layer.layout_files[sections[-1]]}: {_dotted([key])}"
    return f"{layer.origin}: {_dotted(path)}"


def _dotted(path: Sequence[str]) -> str:
    return ".".join(name if len(name) <= _LONGEST_KEY else f"{name[:_LONGEST_KEY]}..." for name in path)


def _filled(instance: Any, values: Mapping[str, Any]) -> Any:
    """Return a copy of a dataclass instance with validated `values` in place of its own."""
    annotations = annotations_of(type(instance))
    filled: dict[str, Any] = {}
    for item in fields(instance):
        present = getattr(instance, item.name)
        if item.name not in values:
            filled[item.name] = deepcopy(present)
            continue
        given = values[item.name]
        if is_dataclass(present):
            filled[item.name] = _filled(present, given)
        elif is_dataclass(entry := entry_type(annotations[item.name])):
            new: Any = entry
            filled[item.name] = {name: _filled(new(), section) for name, section in given.items() if section}
        else:
            filled[item.name] = given
    return type(instance)(**filled)


def _mappings_of(instance: Any) -> dict[str, Any]:
    """Return the mappings of a dataclass instance, and of those in it, as plain values."""
    found: dict[str, Any] = {}
    plain = asdict(instance)
    for item in fields(instance):
        value = getattr(instance, item.name)
        found[item.name] = _mappings_of(value) if is_dataclass(value) else plain[item.name]
    return {name: value for name, value in found.items() if isinstance(value, dict) and value}


def _emptying(path: Sequence[str]) -> dict[str, Any]:
    """Return the values of a layer that empties the mapping at a path."""
    values: dict[str, Any] = {}
    set_nested(values, path, {})
    return values


def origin_of(key: str, layers: Sequence[Layer]) -> str:
    """Return where the value at a dotted key is from, for messages: the highest layer that sets it, and the key."""
    origins = [each.origin for each in layers if value_at(each.values, key) is not None]
    return f"{origins[-1]}: {key}" if origins else key
