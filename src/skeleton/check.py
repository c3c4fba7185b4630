"""Check a layout and report all its problems by joint name. Joint numbers count from 1, as in the layout's file."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ..utils.foreign_text import short
from ..utils.names import suggestion

Joint = int | str  # a number, or a name that is no joint's
Pair = Sequence[Joint]
MOST_JOINTS = 500  # an annotated face has 68; an adjacency has the square of their number


def layout_problems(
    joints: Sequence[str],
    bones: Sequence[Pair],
    root: Joint,
    center: Joint,
    mirror: Sequence[Pair],
    extra_edges: Sequence[Pair] = (),
    coordinates: int = 3,
) -> list[str]:
    """Return the problems of a layout, whose bones have to form one tree of its joints; empty if it is valid.

    Args:
        joints: the names of the joints.
        bones: (child, parent) joint numbers; a text is a name that is not in `joints`.
        root, center: joint numbers; 0 if the file has none.
        mirror: (left, right) joint numbers.
        extra_edges: pairs of joint numbers that a plot connects by a line.
        coordinates: how many numbers a joint has.
    """
    problems = _coordinates(coordinates)
    if not joints:
        return [*problems, "joints should be names, in the order of the format"]
    if len(joints) > MOST_JOINTS:
        return [*problems, f"joints has {len(joints):,} names, at most {MOST_JOINTS} are possible"]
    for number, name in enumerate(joints, start=1):
        if not name.strip() or not name.isprintable():
            problems.append(f"joints: the name of joint {number} is {short(name)}: it should be a word, in one line")
    repeated = {name: count for name, count in Counter(joints).items() if count > 1}
    problems += [f"joints has {name!r} {count} times: give each joint its own name" for name, count in repeated.items()]
    problems += [*_single("root", root, joints), *_single("center", center, joints)]
    problems += [*_pairs("bones", bones, joints), *_pairs("mirror", mirror, joints)]
    problems += _pairs("extra_edges", extra_edges, joints)
    problems += [*_tree(joints, bones, root), *_mirror(joints, mirror), *_edges(joints, extra_edges)]
    return problems


def _coordinates(number: int) -> list[str]:
    if 2 <= number <= 3:
        return []
    limit = "at most 3" if number > 3 else "at least 2"
    return [f"coordinates: {number} should be {limit}: 3 in space, 2 in a picture"]


def _single(key: str, joint: Joint, joints: Sequence[str]) -> Iterator[str]:
    meaning = {"root": "from which bones are counted", "center": "on which clips are centred"}[key]
    if joint == 0:
        yield f"{key} is missing: the number, 1 to {len(joints)}, of the joint {meaning}, or its name"
    elif not _is_joint(joint, joints):
        yield f"{key}: {_unknown(joint, joints)}"


def _pairs(key: str, pairs: Sequence[Pair], joints: Sequence[str]) -> Iterator[str]:
    for pair in pairs:
        if len(pair) != 2:
            named = ", ".join(f"{each} is {joints[int(each) - 1]}" for each in pair if _is_joint(each, joints))
            written = f"{_written(pair, joints)} should be two joint numbers or names, such as [2, 1]"
            yield f"{key}: {written}" + (f"; {named}" if named else "")
        for joint in pair:
            if not _is_joint(joint, joints):
                yield f"{key}: {_written(pair, joints)}: {_unknown(joint, joints)}"


def _is_joint(joint: Joint, joints: Sequence[str]) -> bool:
    return isinstance(joint, int) and 1 <= joint <= len(joints)


def _unknown(joint: Joint, joints: Sequence[str]) -> str:
    if isinstance(joint, int):
        return f"there is no joint {joint}, only 1 to {len(joints)}"
    near = suggestion(joint, joints) or " It should be one of `joints`, or a number."
    return f"there is no joint {short(joint)}.{near}"


def _written(pair: Pair, joints: Sequence[str]) -> str:
    """Return a pair as in the file: in numbers, or in names if one of them is a name."""
    if all(isinstance(joint, int) for joint in pair):
        return str(list(pair))
    names = [joints[joint - 1] if isinstance(joint, int) and _is_joint(joint, joints) else joint for joint in pair]
    return f"[{', '.join(map(str, names))}]"


def _whole(pairs: Sequence[Pair], joints: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs that have no problem of their own."""
    whole = [pair for pair in pairs if len(pair) == 2 and all(_is_joint(joint, joints) for joint in pair)]
    return [(int(first), int(second)) for first, second in whole]


def _tree(joints: Sequence[str], bones: Sequence[Pair], root: Joint) -> Iterator[str]:
    names = {number: f"{name} ({number})" for number, name in enumerate(joints, start=1)}
    parents: dict[int, list[int]] = {}
    for child, parent in _whole(bones, joints):
        parents.setdefault(child, []).append(parent)
    others = [number for number in names if number != root]
    without = [number for number in others if number not in parents]
    if _is_joint(root, joints):
        # A bone with a problem of its own may be the one that seems to be missing.
        named = {joint for pair in bones if len(pair) != 2 or not _whole([pair], joints) for joint in pair}
        unclear = any(not _is_joint(pair[0], joints) for pair in bones if pair)
        for number in without:
            if number not in named and not unclear:
                yield f"bones: {names[number]} has no bone to a parent: add [{joints[number - 1]}, ITS PARENT]"
    for child, own in sorted(parents.items()):
        parent_names = ", ".join(joints[each - 1] for each in own)
        if child == root:
            yield f"bones: {names[child]} is the root and can have no parent, not {joints[own[0] - 1]} either"
        elif own == [child]:
            yield f"bones: {names[child]} is its own parent"
        elif len(own) > 1:
            yield f"bones: {names[child]} has {len(own)} parents: {parent_names}. Keep the bone to one of them"
    yield from _circles(joints, parents, root)


def _circles(joints: Sequence[str], parents: Mapping[int, Sequence[int]], root: Joint) -> Iterator[str]:
    """Yield the problem of joints whose parents never lead to the root, or to another joint without a parent."""
    numbers = range(1, len(joints) + 1)
    reached = {number for number in numbers if number == root or number not in parents}
    for _ in joints:
        reached |= {child for child, own in parents.items() if set(own) & reached}
    lost = [joints[number - 1] for number in numbers if number not in reached and parents[number] != [number]]
    if lost:
        end = f"the root, {joints[int(root) - 1]}" if _is_joint(root, joints) else "the root"
        yield f"bones: {', '.join(lost)} go in a circle and do not lead to {end}: give one of them another parent"


def _mirror(joints: Sequence[str], mirror: Sequence[Pair]) -> Iterator[str]:
    pairs = _whole(mirror, joints)
    own = {first for first, second in pairs if first == second}
    counts = Counter(number for pair in pairs for number in pair)
    for number, count in sorted(counts.items()):
        name = f"mirror: {joints[number - 1]} ({number}) occurs {count} times"
        if number in own:
            yield f"{name}, as its own mirror image: leave joints that stay where they are out of `mirror`"
        elif count > 1:
            yield f"{name} and can have only one mirror image"


def _edges(joints: Sequence[str], extra_edges: Sequence[Pair]) -> Iterator[str]:
    for first, second in _whole(extra_edges, joints):
        if first == second:
            yield f"extra_edges: {joints[first - 1]} ({first}) has an edge to itself"
