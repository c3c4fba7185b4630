"""Joint layouts: names, bones, centre and mirror pairs, each read from one YAML file."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..utils.config import Layer, config_folder, file_layer, merge
from ..utils.errors import UserError
from ..utils.schema import setting


@dataclass
class LayoutFile:
    """Say what the YAML file of a layout holds; joint numbers count from 1 there. See `Layout` for the keys.

    Attributes:
        like: another layout, which stands in full, that this one equals but for its own keys.
    """

    like: str = ""
    joints: list[str] = field(default_factory=list)
    bones: list[list[int]] = field(default_factory=list)
    root: int = 0
    center: int = 0
    mirror: list[list[int]] = field(default_factory=list)
    coordinates: int = setting(3, minimum=2, maximum=3)


@dataclass(frozen=True)
class Layout:
    """The joints of a skeleton. All joint numbers here count from 0; the YAML files count from 1.

    Attributes:
        joints: the name of each joint.
        bones: (child, parent) pairs, one for every joint but the root.
        root: the joint from which bones and graph subsets are counted.
        center: the joint on which clips are centred.
        mirror: (left, right) pairs that change places in a mirrored clip.
        coordinates: numbers a joint has: 3 in space (y up), 2 in a picture (y down, as pixels are counted).
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    root: int
    center: int
    mirror: tuple[tuple[int, int], ...]
    coordinates: int = 3

    @property
    def num_joints(self) -> int:
        """Return V, the number of joints."""
        return len(self.joints)

    @property
    def flat(self) -> bool:
        """Return whether the joints are places in a picture rather than in space."""
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
        """Return, for every joint, the joint it takes the place of in a mirrored clip."""
        order = list(range(self.num_joints))
        for left, right in self.mirror:
            order[left], order[right] = right, left
        return tuple(order)

    def distances_from_root(self) -> tuple[int, ...]:
        """Return how many bones lie between each joint and the root."""

        def bones_to_root(joint: int) -> int:
            return 0 if joint == self.root else 1 + bones_to_root(self.parents[joint])

        return tuple(bones_to_root(joint) for joint in range(self.num_joints))


def list_layouts() -> list[str]:
    """Return the names of the layouts that have a file."""
    return sorted(path.stem for path in (config_folder() / "layout").glob("*.yaml"))


@cache
def load_layout(name: str) -> Layout:
    """Return the layout of that name.

    Raises:
        UserError: there is no such layout, or its file does not describe a tree of its joints.
    """
    layout = _from_file(name, merge(LayoutFile(), _layers(name)))
    if problem := _problem(layout):
        raise UserError(f"{_path(name)}: {problem}.")
    return layout


def _layers(name: str) -> list[Layer]:
    """Return a layout's own file, above the one of the layout it is like."""
    own = file_layer(_path(name))
    like = own.values.get("like")
    return [file_layer(_path(str(like))), own] if like else [own]


def _path(name: str) -> Path:
    """Return the file of the layout `name`, which must be there."""
    if name not in list_layouts():
        raise UserError(f"There is no layout {name!r}. The layouts are: {', '.join(list_layouts())}.")
    return config_folder() / "layout" / f"{name}.yaml"


def _from_file(name: str, values: LayoutFile) -> Layout:
    def pairs(key: str) -> tuple[tuple[int, int], ...]:
        listed = getattr(values, key)
        if any(len(pair) != 2 for pair in listed):
            raise UserError(f"{_path(name)}: {key}: every entry should be two joint numbers, such as [2, 1].")
        return tuple((first - 1, second - 1) for first, second in listed)

    return Layout(
        name=name,
        joints=tuple(values.joints),
        bones=pairs("bones"),
        root=values.root - 1,
        center=values.center - 1,
        mirror=pairs("mirror"),
        coordinates=values.coordinates,
    )


def _problem(layout: Layout) -> str:
    """Return why a layout is none, or an empty string where its bones make one tree of its joints."""
    joints, paired = set(range(layout.num_joints)), [joint for pair in layout.mirror for joint in pair]
    numbers = {joint for bone in layout.bones for joint in bone} | {*paired, layout.root, layout.center}
    if not joints or len(set(layout.joints)) < len(joints):
        return "joints should be names, none of them twice"
    if not numbers <= joints:
        return f"a joint number lies outside 1..{layout.num_joints}"
    if len(set(paired)) < len(paired):
        return "a joint has more than one mirror image"
    children = {child for child, _ in layout.bones}
    if len(children) != len(layout.bones) or children != joints - {layout.root}:
        return "every joint but the root needs exactly one bone to its parent"
    reached = {layout.root}
    for _ in joints:
        reached |= {child for child, parent in layout.bones if parent in reached}
    return "" if reached == joints else "the bones do not connect every joint to the root"
