"""Joint layouts: names, bones, centre and mirror pairs, each read from one YAML file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from ..utils.config import (
    YAML_ENDINGS,
    completed_layout,
    config_folder,
    file_layer,
    layout_name,
    merge,
    unknown_name,
)
from ..utils.errors import UserError
from .check import Joint, layout_problems

_PAIRS = ("bones", "mirror", "extra_edges")
_MOST_PROBLEMS = 30  # shown


@dataclass
class LayoutFile:
    """Contents of a layout's YAML file, which names joints or numbers them from 1. See `Layout` for the keys.

    Attributes:
        name: the name of a layout whose file a data YAML gives; while that file is read, its path.
        like: another layout, whose keys this one takes unless it has its own.
    """

    name: str = ""
    like: str = ""
    joints: list[str] = field(default_factory=list)
    bones: list[list[Joint]] = field(default_factory=list)
    root: Joint = 0
    center: Joint = 0
    mirror: list[list[Joint]] = field(default_factory=list)
    coordinates: int = 3
    extra_edges: list[list[Joint]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Replace the names of joints by their numbers, and check a layout whose file has just been read.

        A name that is no joint is kept, since all problems are reported together.

        Raises:
            UserError: the file does not describe a tree of joints, or has the name of a layout of the program.
        """
        numbers: dict[Joint, int] = {name: number for number, name in enumerate(self.joints, start=1)}
        self.root, self.center = (numbers.get(joint, joint) for joint in (self.root, self.center))
        for key in _PAIRS:
            setattr(self, key, [[numbers.get(joint, joint) for joint in pair] for pair in getattr(self, key)])
        if self.name.endswith(YAML_ENDINGS):
            path, self.name = self.name, layout_name(Path(self.name))
            _check_own(self, path)


@dataclass(frozen=True)
class Layout:
    """The joints of a skeleton. All joint numbers here count from 0; the YAML files count from 1.

    Attributes:
        joints: the name of each joint.
        bones: (child, parent) pairs, one for every joint but the root.
        root: the joint from which bones and graph subsets are counted.
        center: the joint on which clips are centred.
        mirror: (left, right) pairs that are exchanged in a mirrored clip.
        coordinates: numbers per joint: 3 in space (y up), 2 in a picture (y down, as in pixel coordinates).
        extra_edges: further pairs of joints that a plot connects by a line. Nothing is computed from them, so
            layouts that differ only in them are equal.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    root: int
    center: int
    mirror: tuple[tuple[int, int], ...]
    coordinates: int = 3
    extra_edges: tuple[tuple[int, int], ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        reference_joints = f"root {self.joints[self.root]}, centred on {self.joints[self.center]}"
        return f"{self.name} ({self.num_joints} joints of {self.coordinates} coordinates, {reference_joints})"

    @property
    def num_joints(self) -> int:
        """Return V, the number of joints."""
        return len(self.joints)

    @property
    def flat(self) -> bool:
        """Return whether the joints are positions in a picture rather than in space."""
        return self.coordinates == 2

    @property
    def parents(self) -> tuple[int, ...]:
        """Return the parent of every joint; the root is its own parent."""
        parent_of = dict(self.bones)
        return tuple(parent_of.get(joint, joint) for joint in range(self.num_joints))

    @property
    def trunk_pairs(self) -> tuple[tuple[int, int], ...]:
        """Return the (left, right) pairs whose parents are not themselves left or right: hips and shoulders."""
        sided = {joint for pair in self.mirror for joint in pair}
        return tuple(pair for pair in self.mirror if not {self.parents[joint] for joint in pair} & sided)

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Return, for every joint, the joint that it replaces in a mirrored clip."""
        order = list(range(self.num_joints))
        for left, right in self.mirror:
            order[left], order[right] = right, left
        return tuple(order)

    def distances_from_root(self) -> tuple[int, ...]:
        """Return the number of bones between each joint and the root."""

        def bones_to_root(joint: int) -> int:
            return 0 if joint == self.root else 1 + bones_to_root(self.parents[joint])

        return tuple(bones_to_root(joint) for joint in range(self.num_joints))


def list_layouts() -> list[str]:
    """Return the names of the built-in layouts."""
    return sorted(path.stem for path in (config_folder() / "layout").glob("*.yaml"))


@cache
def load_layout(name: str) -> Layout:
    """Return the layout of that name, or in the YAML file at that path.

    Raises:
        UserError: there is no such layout, or its bones do not form a tree of its joints.
    """
    path = layout_file(name)
    layer = completed_layout(file_layer(path))
    return build_layout(path.stem, merge(LayoutFile(), [layer]), layer.origin)


def build_layout(name: str, values: LayoutFile, origin: str) -> Layout:
    """Return the layout described by `values`; `origin` is their source in error messages.

    Raises:
        UserError: the bones do not form a tree of the joints; the message lists all problems.
    """
    _refuse(name, values, origin)
    return Layout(
        name=name,
        joints=tuple(values.joints),
        bones=_from_zero(values.bones),
        root=int(values.root) - 1,
        center=int(values.center) - 1,
        mirror=_from_zero(values.mirror),
        coordinates=values.coordinates,
        extra_edges=_from_zero(values.extra_edges),
    )


def _check_own(values: LayoutFile, path: str) -> None:
    """Refuse the content of a layout file of one's own that cannot be used."""
    if values.name in list_layouts():
        raise UserError(f"{path}: there is a built-in layout {values.name}. Give your file another name.")
    _refuse(values.name, values, path)


def _refuse(name: str, values: LayoutFile, origin: str) -> None:
    """Refuse values that describe no layout, with all of their problems."""
    sections = (values.bones, values.root, values.center, values.mirror, values.extra_edges)
    if problems := layout_problems(values.joints, *sections, values.coordinates):
        shown = problems[:_MOST_PROBLEMS]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more problems")
        lines = "\n".join(f"  {problem}" for problem in shown)
        raise UserError(f"{origin}: the layout {name} cannot be used:\n{lines}")


def layout_from_facts(facts: Mapping[str, Any], origin: str) -> Layout:
    """Return the layout whose fields are `facts`, plain values from an untrusted file.

    Raises:
        UserError: they do not describe a layout.
    """
    values = {"extra_edges": [], "coordinates": 3, **(facts if isinstance(facts, Mapping) else {})}
    known = {item.name for item in fields(Layout)}
    if values.keys() != known or not all(_has_type(key, value) for key, value in values.items()):
        raise UserError(f"{origin}: its layout is damaged.")
    name = values.pop("name")
    values |= {key: [[number + 1 for number in pair] for pair in values[key]] for key in _PAIRS}
    values |= {key: values[key] + 1 for key in ("root", "center")}
    return build_layout(name, LayoutFile(**values), origin)


def _has_type(key: str, value: Any) -> bool:
    """Return whether a field of a layout has the type of its plain value."""
    if key in ("name", "joints"):
        texts = [value] if key == "name" else value
        return isinstance(texts, list | tuple) and all(isinstance(each, str) for each in texts)
    numbers = value if key in _PAIRS else [[value]]
    return isinstance(numbers, list | tuple) and all(
        isinstance(pair, list | tuple) and all(type(number) is int for number in pair) for pair in numbers
    )


def layout_facts(layout: Layout) -> dict[str, Any]:
    """Return the fields of a layout as JSON values, without the extra edges, which only affect plots."""
    facts: dict[str, Any] = json.loads(json.dumps(asdict(layout)))
    del facts["extra_edges"]
    return facts


def layout_file(name: str) -> Path:
    """Return the file of a layout, given the layout's name or the file's path.

    Raises:
        UserError: there is no such layout.
    """
    if name.endswith(YAML_ENDINGS):
        return Path(name)
    if name not in list_layouts():
        raise UserError(
            f"{unknown_name('layout', name, list_layouts())} One of your own is a YAML file: write its path, relative "
            "to the data YAML, such as layout: my_layout.yaml."
        )
    return config_folder() / "layout" / f"{name}.yaml"


def _from_zero(pairs: Sequence[Sequence[Joint]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(first) - 1, int(second) - 1) for first, second in pairs)
