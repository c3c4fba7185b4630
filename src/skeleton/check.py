"""Check a layout and report all problems together, by joint name. Joint numbers here count from 1, as in its file."""

from collections import Counter
from collections.abc import Iterator, Sequence

Pair = Sequence[int]
MOST_JOINTS = 500  # a hand-annotated face has 68; an adjacency holds their square


def layout_problems(
    joints: Sequence[str],
    bones: Sequence[Pair],
    root: int,
    center: int,
    mirror: Sequence[Pair],
    extra_edges: Sequence[Pair] = (),
) -> list[str]:
    """Return why these are no layout: its bones must make one tree of its joints. Empty where they do.

    Args:
        joints: the joints' names.
        bones: (child, parent) joint numbers.
        root, center: joint numbers, 0 where the file does not say.
        mirror: (left, right) joint numbers.
        extra_edges: joint numbers between which a picture has a line.
    """
    if not joints:
        return ["joints should be names, in the order of the format"]
    if len(joints) > MOST_JOINTS:
        return [f"joints has {len(joints):,} names, at most {MOST_JOINTS} are possible"]
    problems = [f"joints has {name!r} {count} times" for name, count in Counter(joints).items() if count > 1]
    problems += [*_single("root", root, joints), *_single("center", center, joints)]
    problems += [*_numbers("bones", bones, joints), *_numbers("mirror", mirror, joints)]
    problems += _numbers("extra_edges", extra_edges, joints)
    if problems:
        return problems
    return [*_tree(joints, bones, root), *_mirror(joints, mirror), *_edges(joints, extra_edges)]


def _single(key: str, number: int, joints: Sequence[str]) -> Iterator[str]:
    meaning = {"root": "from which bones are counted", "center": "on which clips are centred"}[key]
    if number == 0:
        yield f"{key} is missing: the number, 1 to {len(joints)}, of the joint {meaning}"
    elif not 1 <= number <= len(joints):
        yield f"{key}: there is no joint {number}, only 1 to {len(joints)}"


def _numbers(key: str, pairs: Sequence[Pair], joints: Sequence[str]) -> Iterator[str]:
    for pair in pairs:
        if len(pair) != 2:
            yield f"{key}: {list(pair)} should be two joint numbers, such as [2, 1]"
        for number in pair:
            if not 1 <= number <= len(joints):
                yield f"{key}: {list(pair)}: there is no joint {number}, only 1 to {len(joints)}"


def _tree(joints: Sequence[str], bones: Sequence[Pair], root: int) -> Iterator[str]:
    names = dict(enumerate(joints, start=1))
    parents: dict[int, list[int]] = {}
    for child, parent in bones:
        parents.setdefault(child, []).append(parent)
    missing = [number for number in names if number != root and number not in parents]
    for number in missing:
        yield f"bones: {names[number]} ({number}) has no bone to a parent"
    for child, own in sorted(parents.items()):
        if child == root:
            yield f"bones: {names[child]} ({child}) is the root and can have no parent, not {names[own[0]]} either"
        elif own == [child]:
            yield f"bones: {names[child]} ({child}) is its own parent"
        elif len(own) > 1:
            yield f"bones: {names[child]} ({child}) has {len(own)} parents: {', '.join(names[each] for each in own)}"
    reached = {root, *missing}
    for _ in joints:
        reached |= {child for child, own in parents.items() if set(own) & reached}
    lost = [names[number] for number in names if number not in reached and parents[number] != [number]]
    if lost:
        yield f"bones: {', '.join(lost)} go in a circle and do not lead to the root, {names[root]}"


def _mirror(joints: Sequence[str], mirror: Sequence[Pair]) -> Iterator[str]:
    counts = Counter(number for pair in mirror for number in pair)
    for number, count in sorted(counts.items()):
        if count > 1:
            yield f"mirror: {joints[number - 1]} ({number}) occurs {count} times and can have only one mirror image"


def _edges(joints: Sequence[str], extra_edges: Sequence[Pair]) -> Iterator[str]:
    for first, second in extra_edges:
        if first == second:
            yield f"extra_edges: {joints[first - 1]} ({first}) has an edge to itself, which is no line"
