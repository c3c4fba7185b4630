"""Motion capture as BVH, written by pybvh and by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, Source, get_reader
from last.data.preparation.readers import bvh as reader_module
from last.data.store.clip import Clip
from last.skeleton import LayoutFile, build_layout
from last.utils.errors import UserError

pybvh = pytest.importorskip("pybvh")

NAMES = ["hips", "spine", "left_arm", "left_arm_end", "right_arm"]
LAYOUT = build_layout("arms", LayoutFile(joints=NAMES, bones=[[2, 1], [3, 2], [4, 3], [5, 2]], root=1, center=1), "")
TEXT = """HIERARCHY
ROOT mixamorig:Hips
{
  OFFSET 0 90 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Spine
  {
    OFFSET 0 10 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT LeftArm
    {
      OFFSET 5 0 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 20 0 0
      }
    }
    JOINT RightArm
    {
      OFFSET -5 0 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET -20 0 0
      }
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.008333
1 90 2.5 0 0 0 0 0 0 0 0 0 0 0 0
1 90 2.5 0 0 0 0 0 0 90 0 0 0 0 0
"""


SOURCE = Source(LAYOUT, 1, ("wave",))


def read(folder: Path, text: str = TEXT, source: Source = SOURCE) -> Clip:
    (folder / "wave").mkdir(exist_ok=True)
    (folder / "wave" / "one_P3.BVH").write_text(text)
    reader = get_reader("bvh", source)
    (entry,) = reader.entries(folder)
    return reader.read(entry)


def test_positions_follow_from_offsets_and_rotations(tmp_path: Path) -> None:
    clip = read(tmp_path)
    assert (clip.name, clip.subject, clip.fps, clip.joints.shape) == ("wave/one_P3", 3, 120.0, (1, 2, 5, 3))
    rest = [[0, 0, 0], [0, 10, 0], [5, 10, 0], [25, 10, 0], [-5, 10, 0]]
    np.testing.assert_allclose(clip.joints[0, 0], rest, atol=1e-5)
    raised = [[0, 0, 0], [0, 10, 0], [5, 10, 0], [5, 30, 0], [-5, 10, 0]]  # by 90 degrees around z
    np.testing.assert_allclose(clip.joints[0, 1], raised, atol=1e-5)


def test_a_file_that_pybvh_writes_has_the_positions_that_pybvh_computes(tmp_path: Path) -> None:
    (tmp_path / "source.bvh").write_text(TEXT)
    motion = pybvh.read_bvh_file(tmp_path / "source.bvh", world_up="+y")
    random = np.random.default_rng(0)
    written = pybvh.Bvh(motion.nodes, random.normal(size=(9, 3)), random.normal(size=(9, 4, 3)), 1 / 30, world_up="+y")
    pybvh.write_bvh_file(written, tmp_path / "written.bvh")
    clip = read(tmp_path, (tmp_path / "written.bvh").read_text())
    expected = pybvh.frames_to_node_positions(written)[:, [0, 1, 2, 3, 4]]
    np.testing.assert_allclose(clip.joints[0], expected - expected[0, 0], atol=1e-4)
    assert clip.fps == 30.0


def test_a_clip_of_many_frames_is_computed_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(tmp_path)
    monkeypatch.setattr(reader_module, "_FRAMES_AT_ONCE", 1)
    np.testing.assert_array_equal(read(tmp_path).joints, whole.joints)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("HIERARCHY", "hierarchy", "line 1: is no BVH file"),
        ("MOTION", "", "has no line MOTION"),
        ("JOINT Spine", "JOINT Chest", "has no joint spine of arms. It has .*Chest.* Use a layout with its names"),
        ("0.008333", "0.000008", "its frame time is 8e-06 seconds: 0.5 to 1000 frames per second"),
        ("0.008333", "-1", "cannot be read by pybvh .*frame_time"),
        ("0.008333", "nan", "cannot be read by pybvh .*NaN"),
        ("Frames: 2", "Frames: 3", "cannot be read by pybvh .*3 frames but"),
        ("Frames: 2", "Frames: 0", "cannot be read by pybvh"),
        ("1 90 2.5 0", "1 90 2.5 x", "cannot be read by pybvh"),
        ("CHANNELS 3 Z", "CHANNELS 6 Xposition Yposition Zposition Z", "cannot be read by pybvh .*position channels"),
        ("1 90 2.5 0", "1e9 90 2.5 0", "joint 1 of body 1 in frame 1 is at"),
        ("0 0 0\n1", f"0 0 0{' 0' * 40_000}\n1", "line 33: the line has 80032 characters"),
        ("ROOT", "{" * 300 + "\nROOT", "more than 200 below each other"),
        ("ROOT", "JOINT a\n" * 1001 + "ROOT", "has more than 1000 joints"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(BadClip, match=reason):
        read(tmp_path, TEXT.replace(old, new, 1))


def test_a_name_beyond_ascii_is_no_obstacle(tmp_path: Path) -> None:
    text = TEXT.replace("JOINT RightArm", "JOINT 右腕")
    names = [*NAMES[:4]]
    layout = build_layout("arm", LayoutFile(joints=names, bones=[[2, 1], [3, 2], [4, 3]], root=1, center=1), "")
    assert read(tmp_path, text, Source(layout, 1, ("wave",))).joints.shape == (1, 2, 4, 3)


def test_the_extra_is_named_if_its_package_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pybvh", None)
    with pytest.raises(UserError, match=r"Reading a BVH file needs pybvh.*last-har\[bvh\]"):
        read(tmp_path)
