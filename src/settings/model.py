"""The settings that all model families share."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from ..utils.errors import UserError
from ..utils.limits import Interval, Lengths

# One whole number per stage.
StageSizes = Annotated[list[Annotated[int, Interval(ge=1, le=4096)]], Lengths((1, 2, 3, 4, 5, 6))]

# The metadata of a field that adds to an architecture: off by default, and without an effect on other tensors then.
SWITCH = {"switch": True}


@dataclass
class ModelConfig:
    """Name and family of a model; each family adds its own sizes.

    Attributes:
        streams: those of joint, velocity and bone that it reads, in any order.
        added_streams: the streams that it reads in addition to these: modules of the package
            `data.loading.added_streams` by name, each with its settings.
    """

    name: str = ""
    family: str = ""
    streams: list[Literal["joint", "velocity", "bone"]] = field(default_factory=lambda: ["joint", "velocity", "bone"])
    added_streams: dict[str, dict[str, Any]] = field(default_factory=dict)


def check_stages(kernel_frames: int, **lists: Sequence[Any]) -> None:
    """Refuse invalid sizes.

    Raises:
        UserError: the lists differ in length, or the temporal kernel has no middle.
    """
    lengths = {name: len(entries) for name, entries in lists.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise UserError(f"A model's lists need one entry for each stage, as many in one as in the other: {found}.")
    if kernel_frames % 2 == 0:
        raise UserError(f"kernel_frames: {kernel_frames} should be odd, so that a kernel has a middle frame.")


def check_complete(config: ModelConfig) -> None:
    """Refuse a configuration without sizes, such as that of a YAML without them.

    Raises:
        UserError: a list that needs one entry per stage is empty, or the model reads no stream, or one twice.
    """
    if not config.streams and not config.added_streams:
        raise UserError(
            f"The model {config.name} reads no stream. Give model.streams at least one of joint, velocity and bone."
        )
    if len(set(config.streams)) < len(config.streams):
        raise UserError(f"model.streams: {config.streams} should have each stream once.")
    sizes = [each.name for each in fields(config) if each.name not in (*switches_of(config), "streams")]
    if empty := [f"model.{name}" for name in sizes if getattr(config, name) == []]:
        raise UserError(
            f"The model {config.name} has no sizes: {', '.join(empty)} should be lists with one entry for each stage."
        )


def switches_of(config: ModelConfig | type[ModelConfig]) -> list[str]:
    """Return the keys of a family that switch additions to its architecture on."""
    return [each.name for each in fields(config) if each.metadata.get("switch")]


def without_switches(config: ModelConfig) -> ModelConfig:
    """Return a configuration with every switch of the architecture off."""
    off = type(config)()
    return replace(config, **{name: getattr(off, name) for name in switches_of(config)})
