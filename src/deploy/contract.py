"""What exported files and the programs that run them agree on: names, metadata, and a checksum of the content.

Nothing here needs torch, or the runtime of a file.

Legend: N clips, M bodies, F frames of a recording, V joints, C coordinates, D features, K classes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..skeleton import Layout, layout_from_facts
from ..utils.errors import UserError

Floats = NDArray[np.float32]

FORMAT, FORMAT_VERSION = "last-recognizer", 2  # version 1 took clips that were sampled already, and had no version
INPUT = "joints"
OUTPUTS = ("probabilities", "logits", "features")
CHECKSUM = "content_sha256"
# The facts that are no text: the others, such as the name of a data set, may look like a number.
_AS_JSON = {
    "format_version",
    "opset",
    "parameters",
    "epoch",
    "seed",
    "input",
    "outputs",
    "inside",
    "frame_rate",
    "layout",
    "classes",
    "calibration",
}
_NO_CHECKSUM = "0" * 64  # in the content of which the checksum is taken


class Outputs(NamedTuple):
    """The outputs of an exported file: (N, K), (N, K) and (N, D), NaN for a clip without a body."""

    probabilities: Floats
    logits: Floats
    features: Floats


@dataclass(frozen=True)
class FileFacts:
    """What a file says about itself.

    Attributes:
        model: its name, such as `nano_e`.
        layout: the joint layout of its input.
        classes: the class names in the order of the outputs.
        bodies: M, the number of bodies of the input.
        frame_rate: of the clips that it was trained on, in frames per second; 0 if they had different or unknown ones.
        min_confidence: joints of a lower confidence should be given as missing.
        all: every fact by its name.
    """

    model: str
    layout: Layout
    classes: tuple[str, ...]
    bodies: int
    frame_rate: float
    min_confidence: float
    all: Mapping[str, Any]


def facts_from(metadata: Mapping[str, str], path: Path) -> FileFacts:
    """Return the facts in a file's metadata.

    Raises:
        UserError: they are not those of an exported file of this version.
    """
    again = "Export the checkpoint again."
    if metadata.get("format") != FORMAT:
        was = "an older version of LAST" if "checkpoint_sha256" in metadata else "another program"
        raise UserError(f"{path} was written by {was}: it is not a file that LAST can run. {again}")
    if metadata.get("format_version") != str(FORMAT_VERSION):
        raise UserError(
            f"{path} has version {metadata.get('format_version')!r} of the format; this version of LAST runs version "
            f"{FORMAT_VERSION}. {again}"
        )
    if CHECKSUM not in metadata:
        raise UserError(f"{path} is damaged: it has no checksum, so its metadata was edited. {again}")
    try:
        values = {name: _fact(name, text) for name, text in metadata.items()}
        layout = layout_from_facts(values["layout"], str(path))
        classes, bodies = _class_names(values), int(values["input"]["shape"][1])
        rate, lowest = float(values["frame_rate"]), float(values["input"]["min_confidence"])
        return FileFacts(str(values["model"]), layout, classes, bodies, rate, lowest, values)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"{path} is damaged: its metadata cannot be read ({error}). {again}") from error


def _class_names(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes, one for each logit.

    Raises:
        ValueError: they are no different names, or others than there are logits.
    """
    names, number = values["classes"], values["outputs"]["logits"][1]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ValueError("the classes should be different names")
    if len(names) != number:
        raise ValueError(f"there are {len(names)} names for {number} classes")
    return tuple(names)


def fact_text(value: Any) -> str:
    """Return a fact as metadata of a file: text unchanged, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fact(name: str, text: str) -> Any:
    """Return the fact of which `fact_text` wrote the text; a text where it cannot be read."""
    try:
        return json.loads(text) if name in _AS_JSON else text
    except ValueError:
        return text


def seal(path: Path, *others: Path) -> None:
    """Write the checksum of a file's content, and of other files, into the place that the file has for it.

    The metadata `content_sha256` of the file should be 64 zeros.
    """
    content = path.read_bytes()
    assert content.count(_NO_CHECKSUM.encode()) == 1
    path.write_bytes(content.replace(_NO_CHECKSUM.encode(), _digest(content, others).encode()))


def refuse_changed(path: Path, checksum: str, *others: Path) -> None:
    """Refuse a file whose content, with that of other files, has another checksum than it says.

    Raises:
        UserError: it was cut short or edited.
    """
    content = path.read_bytes().replace(checksum.encode(), _NO_CHECKSUM.encode())
    if _digest(content, others) != checksum:
        raise UserError(
            f"{path} is not as it was written: its content does not have its checksum, so it was cut short or edited. "
            "Copy it again, or export the checkpoint again."
        )


def no_checksum() -> dict[str, str]:
    """Return the metadata into which `seal` writes the checksum."""
    return {CHECKSUM: _NO_CHECKSUM}


def _digest(content: bytes, others: tuple[Path, ...]) -> str:
    found = hashlib.sha256(content)
    for other in others:
        found.update(other.read_bytes())
    return found.hexdigest()
