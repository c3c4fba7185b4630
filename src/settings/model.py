"""The settings that all model families share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from ..utils.errors import UserError
from ..utils.limits import Interval, Lengths
from ..utils.unordered import Unordered, put_in_order

STREAMS = ("joint", "velocity", "bone")

# One whole number per stage.
StageSizes = Annotated[list[Annotated[int, Interval(ge=1, le=4096)]], Lengths((1, 2, 3, 4, 5, 6))]

# The metadata of a field that adds to an architecture: off by default, and without an effect on other tensors then.
SWITCH = {"switch": True}

# The metadata of a field that says how a model is trained, such as its dropout.
OF_TRAINING = {"of_training": True}


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
    streams: Annotated[list[Literal["joint", "velocity", "bone"]], Unordered()] = field(
        default_factory=lambda: ["joint", "velocity", "bone"]
    )
    added_streams: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        put_in_order(self)

    @property
    def title(self) -> str:
        """Return its name and what it has beside or instead of the usual."""
        return model_title(vars(self))


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


# The switches of all families with their values when off: what a plain configuration, as in a run's folder, is compared
# with, since the families themselves need torch.
SWITCHES_OFF: Mapping[str, Any] = {
    "graph_subsets": [],
    "learned_adjacency": False,
    "joint_embedding": False,
    "stream_channels": "plain",
}


def model_title(section: Mapping[str, Any]) -> str:
    """Return a model's name and what it has beside or instead of the usual, such as `nano_e of bone, joint_embedding`.

    Args:
        section: the section `model` of a plain configuration; what is missing or invalid there is left out.
    """
    name, read = section.get("name"), section.get("streams")
    added = section.get("added_streams")
    names = [each for each in STREAMS if each in read] if isinstance(read, list) else [*STREAMS]
    of = "" if names == [*STREAMS] else f" of {' and '.join(names)}" if names else " without the usual streams"
    on = [str(each) for each in added] if isinstance(added, Mapping) else []
    on += [_shown_switch(key, section[key]) for key, off in SWITCHES_OFF.items() if section.get(key, off) != off]
    return ", ".join([f"{name if isinstance(name, str) else ''}{of}", *on])


def _shown_switch(key: str, value: object) -> str:
    return key if value is True else f"{key} {' and '.join(map(str, value)) if isinstance(value, list) else value}"


def switches_of(config: ModelConfig | type[ModelConfig]) -> list[str]:
    """Return the keys of a family that switch additions to its architecture on."""
    return [each.name for each in fields(config) if each.metadata.get("switch")]


def of_any_size(config: ModelConfig) -> list[str]:
    """Return the keys of a family that say what a model reads and how it is trained, whatever its sizes."""
    shared = [each.name for each in fields(ModelConfig) if each.name not in ("name", "family")]
    own = [each.name for each in fields(config) if each.metadata.get("of_training")]
    return [*shared, *own, *switches_of(config)]


def without_switches(config: ModelConfig) -> ModelConfig:
    """Return a configuration with every switch of the architecture off."""
    off = type(config)()
    return replace(config, **{name: getattr(off, name) for name in switches_of(config)})
