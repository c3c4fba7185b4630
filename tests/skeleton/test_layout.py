"""Joint layouts: the files describe trees, and broken ones are refused."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from last.data.store.fingerprints import digest
from last.skeleton import Layout, layout, layout_facts, layout_from_facts, list_layouts, load_layout
from last.utils import config
from last.utils.errors import UserError

CHAIN = """
joints: [hip, knee, foot]
root: 1
center: 1
bones: [[2, 1], [3, 2]]
mirror: []
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty layout folder that `load_layout` reads instead of the package's."""
    for module in (layout, config):
        monkeypatch.setattr(module, "config_folder", lambda: tmp_path)
    load_layout.cache_clear()
    (tmp_path / "layout").mkdir()
    return tmp_path / "layout"


@pytest.fixture(params=list_layouts())
def shipped(request: pytest.FixtureRequest) -> Layout:
    return load_layout(request.param)


def test_the_layouts_of_the_benchmarks_are_there() -> None:
    assert {"ntu25", "kinect20", "sbu15"} <= set(list_layouts())


@pytest.mark.parametrize(("name", "joints"), [("ntu25", 25), ("kinect20", 20), ("sbu15", 15)])
def test_a_layout_has_as_many_joints_as_its_name_says(name: str, joints: int) -> None:
    assert load_layout(name).num_joints == joints


def test_every_layout_has_as_many_joints_as_its_name_says(shipped: Layout) -> None:
    assert shipped.num_joints == int(re.findall(r"\d+", shipped.name.removesuffix("_2d"))[-1])


def test_every_left_joint_has_a_mirror_image(shipped: Layout) -> None:
    left = {joint for joint, name in enumerate(shipped.joints) if name.startswith("left_")}
    assert left == {joint for joint, _ in shipped.mirror}


def test_no_bone_leads_from_one_side_to_the_other(shipped: Layout) -> None:
    def side(joint: int) -> str:
        return shipped.joints[joint].partition("_")[0]

    assert all({side(child), side(parent)} != {"left", "right"} for child, parent in shipped.bones)


def test_joint_names_are_unique(shipped: Layout) -> None:
    assert len(set(shipped.joints)) == shipped.num_joints


def test_the_root_is_its_own_parent_and_the_only_one_at_distance_zero(shipped: Layout) -> None:
    assert shipped.parents[shipped.root] == shipped.root
    distances = shipped.distances_from_root()
    assert [joint for joint, distance in enumerate(distances) if distance == 0] == [shipped.root]


def test_every_child_is_one_bone_farther_from_the_root_than_its_parent(shipped: Layout) -> None:
    distances = shipped.distances_from_root()
    assert all(distances[child] == distances[parent] + 1 for child, parent in shipped.bones)


def test_mirroring_twice_changes_nothing(shipped: Layout) -> None:
    assert [shipped.mirrored[joint] for joint in shipped.mirrored] == list(range(shipped.num_joints))


def test_mirrored_bones_are_bones(shipped: Layout) -> None:
    mirrored = {(shipped.mirrored[child], shipped.mirrored[parent]) for child, parent in shipped.bones}
    assert mirrored == set(shipped.bones)


def test_mirror_pairs_name_a_left_and_a_right_joint_of_the_same_kind(shipped: Layout) -> None:
    for left, right in shipped.mirror:
        assert shipped.joints[left].startswith("left_")
        assert shipped.joints[left].replace("left_", "right_") == shipped.joints[right]


def test_the_centre_is_a_joint_that_stays_itself_in_a_mirror(shipped: Layout) -> None:
    assert shipped.mirrored[shipped.center] == shipped.center
    assert shipped.mirrored[shipped.root] == shipped.root


def test_root_and_center_are_the_joints_that_the_benchmarks_use() -> None:
    def places(name: str) -> tuple[str, str]:
        layout = load_layout(name)
        return layout.joints[layout.root], layout.joints[layout.center]

    assert places("ntu25") == ("spine_shoulder", "spine_middle")
    assert places("kinect20") == ("shoulder_center", "spine")
    assert places("sbu15") == ("torso", "torso")


def test_joint_numbers_count_from_zero_in_code_and_from_one_in_the_file(folder: Path) -> None:
    (folder / "chain.yaml").write_text(CHAIN)
    chain = load_layout("chain")
    assert (chain.root, chain.bones, chain.parents) == (0, ((1, 0), (2, 1)), (0, 0, 1))
    assert chain.distances_from_root() == (0, 1, 2)


def test_a_layout_of_one_joint_is_a_tree(folder: Path) -> None:
    (folder / "dot.yaml").write_text("joints: [dot]\nroot: 1\ncenter: 1\nbones: []\nmirror: []\n")
    assert load_layout("dot").distances_from_root() == (0,)


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("[[2, 1], [3, 2]]", "[[2, 1]]", r"foot \(3\) has no bone to a parent"),
        ("[[2, 1], [3, 2]]", "[[2, 1], [3, 2], [3, 1]]", r"foot \(3\) has 2 parents: knee, hip"),
        (
            "[[2, 1], [3, 2]]",
            "[[1, 2], [3, 2]]",
            r"knee \(2\) has no bone(.|\n)*hip \(1\) is the root and can have no parent",
        ),
        ("[[2, 1], [3, 2]]", "[[2, 3], [3, 2]]", "knee, foot go in a circle and do not lead to the root, hip"),
        ("[[2, 1], [3, 2]]", "[[2, 2], [3, 2]]", r"knee \(2\) is its own parent"),
        ("[[2, 1], [3, 2]]", "[[2, 1], [3, 4]]", r"bones: \[3, 4\]: there is no joint 4, only 1 to 3"),
        ("[[2, 1], [3, 2]]", "[[2, 0], [3, 2]]", r"bones: \[2, 0\]: there is no joint 0"),
        ("root: 1", "root: 4", "root: there is no joint 4, only 1 to 3"),
        ("center: 1", "center: 9", "center: there is no joint 9, only 1 to 3"),
        ("mirror: []", "mirror: [[2, 5]]", r"mirror: \[2, 5\]: there is no joint 5"),
        ("mirror: []", "mirror: [[1, 2], [2, 3]]", r"knee \(2\) occurs 2 times and can have only one mirror image"),
        ("mirror: []", "mirror: [[2, 2]]", r"knee \(2\) occurs 2 times"),
        ("mirror: []", "mirror: [[1, 2, 3]]", "two joint numbers"),
        ("mirror: []", "mirror: []\nextra_edges: [[1, 5]]", r"extra_edges: \[1, 5\]: there is no joint 5, only 1 to 3"),
        ("mirror: []", "mirror: []\nextra_edges: [[3, 3]]", r"extra_edges: foot \(3\) has an edge to itself"),
        ("mirror: []", "mirror: []\ncoordinates: 4", "coordinates: 4 should be at most 3"),
        ("joints: [hip, knee, foot]", "joints: [hip, knee, hip]", "joints has 'hip' 2 times"),
        ("joints: [hip, knee, foot]", "", "joints should be names"),
        ("bones:", "bnes:", "Did you mean 'bones'"),
        ("center: 1", "", "center is missing: the number, 1 to 3, of the joint on which clips are centred"),
        ("root: 1", "", "root is missing: the number, 1 to 3, of the joint from which bones are counted"),
    ],
)
def test_a_layout_that_is_no_tree_of_its_joints_is_refused(
    right: str, wrong: str, complaint: str, folder: Path
) -> None:
    (folder / "broken.yaml").write_text(CHAIN.replace(right, wrong))
    with pytest.raises(UserError, match=complaint) as refused:
        load_layout("broken")
    assert "broken.yaml" in str(refused.value)


def test_all_mistakes_of_a_layout_are_reported_at_once(folder: Path) -> None:
    text = "joints: [hip, knee, foot, hand]\nroot: 9\nbones: [[2, 1], [3, 7], [4]]\nmirror: [[0, 2]]\n"
    (folder / "broken.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        load_layout("broken")
    for mistake in ("root: there is no joint 9", "center is missing", "[3, 7]", "[4] should be two", "mirror: [0, 2]"):
        assert mistake in str(refused.value)
    text = "joints: [hip, knee, foot, hand]\nroot: 1\ncenter: 1\nbones: [[2, 3], [3, 2]]\nmirror: [[2, 3], [3, 4]]\n"
    (folder / "knotted.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        load_layout("knotted")
    for mistake in ("hand (4) has no bone", "knee, foot go in a circle", "foot (3) occurs 2 times"):
        assert mistake in str(refused.value)


NAMED = """
joints: [hip, knee, foot, left_toe, right_toe]
root: hip
center: knee
bones: [[knee, hip], [3, knee], [left_toe, foot], [right_toe, foot]]
mirror: [[left_toe, right_toe]]
extra_edges: [[hip, foot]]
"""


def test_a_layout_may_name_joints_or_number_them(folder: Path) -> None:
    (folder / "named.yaml").write_text(NAMED)
    numbers = (
        NAMED.replace("root: hip", "root: 1").replace("center: knee", "center: 2").replace("[hip, foot]", "[1, 3]")
        .replace("[[knee, hip], [3, knee], [left_toe, foot], [right_toe, foot]]", "[[2, 1], [3, 2], [4, 3], [5, 3]]")
        .replace("[[left_toe, right_toe]]", "[[4, 5]]")
    )  # fmt: skip
    (folder / "numbered.yaml").write_text(numbers)
    named, numbered = load_layout("named"), load_layout("numbered")
    assert named == replace(numbered, name="named") and named.extra_edges == numbered.extra_edges


def test_a_joint_that_is_named_like_a_number_keeps_its_own_number(folder: Path) -> None:
    (folder / "digits.yaml").write_text("joints: [3, 1, 2]\nroot: 1\ncenter: 1\nbones: [[2, 1], [3, 2]]\n")
    assert load_layout("digits").bones == ((1, 0), (2, 1))


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("[knee, hip]", "[kne, hip]", r"bones: \[kne, hip\]: there is no joint 'kne'. Did you mean 'knee'"),
        ("[knee, hip]", "[knee, pelvis]", r"bones: \[knee, pelvis\]: there is no joint 'pelvis'"),
        ("[3, knee]", "[3, kne]", r"bones: \[foot, kne\]: there is no joint 'kne'"),
        ("[knee, hip]", "[knee]", r"bones: \[2\] should be two joint numbers or names"),
        ("root: hip", "root: hips", "root: there is no joint 'hips'. Did you mean 'hip'"),
        ("center: knee", "center: middle", "center: there is no joint 'middle'. It should be one of `joints`"),
        (
            "[left_toe, right_toe]",
            "[left_toe, left_toe]",
            r"mirror: left_toe \(4\) occurs 2 times, as its own mirror im",
        ),
        ("[left_toe, right_toe]", "[left_to, right_toe]", "mirror: .left_to, right_toe.: there is no joint 'left_to'"),
        ("[hip, foot]", "[hip, toe]", "extra_edges: .hip, toe.: there is no joint 'toe'"),
        ("[[knee, hip], ", "[[knee, foot], ", "knee, foot, left_toe, right_toe go in a circle"),
        ("[3, knee], ", "", r"foot \(3\) has no bone to a parent: add \[foot, ITS PARENT\]"),
    ],
)
def test_mistakes_are_reported_by_joint_name(right: str, wrong: str, complaint: str, folder: Path) -> None:
    (folder / "named.yaml").write_text(NAMED.replace(right, wrong))
    with pytest.raises(UserError, match=complaint) as refused:
        load_layout("named")
    assert len(str(refused.value).splitlines()) == 2, "one mistake is one problem"


def test_every_kind_of_mistake_is_reported_in_one_message(folder: Path) -> None:
    text = """
joints: [hip, knee, foot, hand, arm, hand]
root: hips
center: 9
bones: [[knee, foot], [foot, knee], [hand, wrist], [5, 1], [5, 2]]
mirror: [[hand, hand], [leg, arm]]
extra_edges: [[hip, hip]]
coordinates: 7
"""
    (folder / "broken.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        load_layout("broken")
    for mistake in (
        "coordinates: 7 should be at most 3",
        "joints has 'hand' 2 times: give each joint its own name",
        "root: there is no joint 'hips'. Did you mean 'hip'?",
        "center: there is no joint 9, only 1 to 6",
        "there is no joint 'wrist'",
        "there is no joint 'leg'",
        "arm (5) has 2 parents: hip, knee",
        "knee, foot go in a circle",
        "occurs 2 times, as its own mirror image",
        "extra_edges: hip (1) has an edge to itself",
    ):
        assert mistake in str(refused.value)


def test_absurd_counts_are_refused_with_a_short_message(folder: Path) -> None:
    (folder / "crowd.yaml").write_text(f"joints: [{', '.join(f'j{number}' for number in range(501))}]\nroot: 1\n")
    with pytest.raises(UserError, match="joints has 501 names, at most 500 are possible"):
        load_layout("crowd")
    bones = ", ".join("[9, 9]" for _ in range(20_000))
    (folder / "bones.yaml").write_text(f"joints: [hip]\nroot: 1\ncenter: 1\nbones: [{bones}]\n")
    with pytest.raises(UserError, match=r"and 39,?\d+ more problems") as refused:
        load_layout("bones")
    assert len(str(refused.value)) < 5000


def test_a_layout_survives_as_plain_values_and_damaged_ones_are_refused(shipped: Layout) -> None:
    facts = layout_facts(shipped)
    assert layout_from_facts(json.loads(json.dumps(facts)), "x") == shipped
    broken: list[dict[str, object]] = [
        {**facts, "bones": 3}, {**facts, "root": "1"}, {**facts, "joints": []}, {**facts, "bones": [[0, 99]]}, {},
        {**facts, "mirror": [["a", "b"]]}, {**facts, "center": 10**9}, {**facts, "extra": 1},
    ]  # fmt: skip
    for each in broken:
        with pytest.raises(UserError, match="x"):
            layout_from_facts(each, "x")


def test_a_layout_that_is_like_another_takes_all_but_its_own_keys_from_it(folder: Path) -> None:
    (folder / "chain.yaml").write_text(CHAIN)
    (folder / "flat.yaml").write_text("like: chain\ncenter: 2\ncoordinates: 2\n")
    assert load_layout("flat") == replace(load_layout("chain"), name="flat", center=1, coordinates=2)
    assert load_layout("flat").flat and not load_layout("chain").flat


@pytest.mark.parametrize(("like", "complaint"), [("other", "no layout 'other'"), ("flat", "joints should be names")])
def test_a_layout_that_is_like_none_is_refused(like: str, complaint: str, folder: Path) -> None:
    (folder / "flat.yaml").write_text(f"like: {like}\ncoordinates: 2\n")
    with pytest.raises(UserError, match=complaint):
        load_layout("flat")


def test_what_is_only_drawn_neither_makes_another_layout_nor_enters_what_data_and_runs_are_known_by(
    folder: Path,
) -> None:
    (folder / "chain.yaml").write_text(CHAIN)
    (folder / "drawn.yaml").write_text(f"{CHAIN}extra_edges: [[1, 3]]\n")
    chain, drawn = load_layout("chain"), replace(load_layout("drawn"), name="chain")
    assert drawn.extra_edges == ((0, 2),) and drawn == chain
    assert layout_facts(drawn) == layout_facts(chain)


@pytest.mark.parametrize(
    ("name", "recorded"),
    [("coco17_2d", "e029fc95d326f1c7"), ("mediapipe33", "57daa4aa4be9adf4"), ("ntu25", "2929a708321f609a")],
)
def test_stores_and_runs_from_before_there_were_extra_edges_keep_their_layout(name: str, recorded: str) -> None:
    assert digest(layout_facts(load_layout(name))) == recorded


def test_an_unknown_layout_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(UserError, match="ntu25"):
        load_layout("ntu26")


def test_a_layout_cannot_be_changed() -> None:
    ntu25 = load_layout("ntu25")
    with pytest.raises(AttributeError):
        ntu25.root = 0  # type: ignore[misc]
    assert replace(ntu25, root=0) != ntu25
