"""Model YAML files by name: built-in ones, those added beside them, and a user's own by its path."""

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from .config import (
    MODEL_FILES,
    YAML_ENDINGS,
    Layer,
    config_folder,
    config_names,
    file_layer,
    named_layer,
    section_layer,
    unknown_name,
)
from .errors import UserError

_MODEL_FILE = re.compile(r"last_(?P<student>e_)?(?P<size>\w+)")
_MODEL_NAME = re.compile(r"\w([\w.-]*\w)?")


def model_files() -> dict[str, str]:
    """Return the file of every named model in `configs/model`: built-in ones first, then added ones."""
    others = {}
    for stem in config_names("model"):
        if match := _MODEL_FILE.fullmatch(stem):
            others[f"{match['size']}_e" if match["student"] else match["size"]] = stem
    return {**MODEL_FILES, **{name: stem for name, stem in others.items() if name not in MODEL_FILES}}


def model_layer(name: str) -> Layer:
    """Return the layer of a `--model` choice: a known name, or the path of a YAML file of a model with its own name.

    Raises:
        UserError: there is no such model, its file has no family, or its name is already used.
    """
    known = model_files()
    if not name.endswith(YAML_ENDINGS):
        if name not in known:
            own = "A model of your own is a YAML file: give its path, such as my_models/tiny_e.yaml."
            raise UserError(f"{unknown_name('model', name, list(known))} {own}")
        layer = named_layer("model", known[name], "model")
        return layer if name in MODEL_FILES else _named_model(layer, name, set(known) - {name})
    path = Path(name)
    folder = (config_folder() / "model").resolve()
    taken = [own for own, stem in known.items() if path.resolve() != folder / f"{stem}.yaml"]
    return _named_model(file_layer(path), path.stem, taken)


def _named_model(layer: Layer, name: str, taken: Collection[str]) -> Layer:
    """Return a validated layer of a model, with `name` if it has no name of its own."""
    model = section_layer(layer, "model")
    own = str(model.texts.get("name") or model.values.get("name") or name)
    if own in taken:
        raise UserError(f"{layer.origin}: model.name: there is a model {own} already. Give yours another name.")
    if not _MODEL_NAME.fullmatch(own):
        raise UserError(f"{layer.origin}: model.name: {own!r} should be letters, digits, and _, . or - between them.")
    if not model.values.get("family"):
        raise UserError(
            f"{layer.origin}: model.family is missing: set it to last_e, for a student, or to last_v2, for a teacher."
        )
    values = {**layer.values, "model": {**model.values, "name": own}}
    texts = {**layer.texts, "model": {**model.texts, "name": own}}
    return replace(layer, values=values, texts=texts)
