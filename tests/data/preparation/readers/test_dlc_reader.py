"""DeepLabCut's tables: their three or four first rows, individuals, likelihoods, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, DroppedClip, Source, get_reader
from last.data.store.clip import Clip
from last.skeleton import LayoutFile, build_layout

JOINTS = LayoutFile(joints=["nose", "tail_base"], bones=[[2, 1]], root=1, center=1, coordinates=2)
FLAT = build_layout("mouse", JOINTS, "mouse.yaml")
SPACE = build_layout("mouse3d", LayoutFile(joints=JOINTS.joints, bones=[[2, 1]], root=1, center=1), "mouse.yaml")
ONE = """scorer,net,net,net,net,net,net,net,net,net
bodyparts,Tail Base,Tail Base,Tail Base,ear,ear,ear,nose,nose,nose
coords,x,y,likelihood,x,y,likelihood,x,y,likelihood
0,1,2,0.5,9,9,1,3,4,1
1,5,6,0.25,9,9,1,,,
3,7,8,1,9,9,1,7,7,0.75
"""
TWO = """scorer,net,net,net,net,net,net,net,net,net,net,net,net,net,net,net
individuals,a,a,a,a,a,a,b,b,b,b,b,b,single,single,single
bodyparts,nose,nose,nose,tail_base,tail_base,tail_base,nose,nose,nose,tail_base,tail_base,tail_base,corner,corner,corner
coords,x,y,likelihood,x,y,likelihood,x,y,likelihood,x,y,likelihood,x,y,likelihood
0,0,0,1,1,1,1,,,,,,,5,5,1
1,0,1,1,1,2,1,10,10,0.5,11,11,0.5,5,5,1
"""


SOURCE = Source(FLAT, 2, ("run",))


def read(folder: Path, text: str, source: Source = SOURCE) -> Clip:
    (folder / "run").mkdir()
    (folder / "run" / "one_P3.csv").write_text(text)
    reader = get_reader("dlc", source)
    (entry,) = reader.entries(folder)
    return reader.read(entry)


def test_body_parts_are_found_by_name_with_likelihoods_and_frames_that_are_left_out(tmp_path: Path) -> None:
    clip = read(tmp_path, ONE)
    assert (clip.name, clip.label, clip.subject, clip.joints.shape) == ("run/one_P3", 0, 3, (1, 3, 2, 2))
    np.testing.assert_array_equal(clip.joints[0, 0], [[0, 0], [-2, -2]])
    np.testing.assert_array_equal(clip.joints[0, 2], [[4, 3], [4, 4]])
    assert clip.confidence is not None
    np.testing.assert_array_equal(clip.confidence[0] > 0, [[True, True], [False, True], [True, True]])
    assert clip.confidence[0, 1, 1] < clip.confidence[0, 0, 1] < clip.confidence[0, 2, 0] < clip.confidence[0, 0, 0]


def test_a_frame_without_a_row_keeps_the_time_of_those_after_it(tmp_path: Path) -> None:
    clip = read(tmp_path, ONE, replace(SOURCE, source_fps=30.0))
    assert clip.frame_mask.tolist() == [[True, True, False, True]]
    np.testing.assert_array_equal(clip.joints[0, 3], [[4, 3], [4, 4]])


def test_a_table_need_not_begin_with_the_first_frame(tmp_path: Path) -> None:
    text = ONE.replace("\n0,1", "\n7,1").replace("\n1,5", "\n8,5").replace("\n3,7", "\n10,7")
    clip = read(tmp_path, text, replace(SOURCE, source_fps=30.0))
    assert clip.frame_mask.tolist() == [[True, True, False, True]]


def test_individuals_are_bodies_and_what_belongs_to_no_animal_is_left_out(tmp_path: Path) -> None:
    clip = read(tmp_path, TWO)
    assert clip.joints.shape == (2, 2, 2, 2) and clip.bodies_left_out == 0
    np.testing.assert_array_equal(clip.frame_mask, [[True, True], [False, True]])
    np.testing.assert_array_equal(clip.joints[1, 1], [[10, 10], [11, 11]])


def test_points_in_space_have_no_likelihood(tmp_path: Path) -> None:
    text = (
        "scorer,n,n,n,n,n,n\nbodyparts,nose,nose,nose,tail_base,tail_base,tail_base\ncoords,x,y,z,x,y,z\n0,1,2,3,4,5,6"
    )
    clip = read(tmp_path, text, Source(SPACE, 1, ("run",)))
    np.testing.assert_array_equal(clip.joints[0, 0], [[0, 0, 0], [3, 3, 3]])
    assert clip.confidence is None


def test_a_table_without_a_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadClip, match="has no rows below its header"):
        read(tmp_path, "\n".join(ONE.splitlines()[:3]))


def test_a_table_without_a_measured_point_is_dropped(tmp_path: Path) -> None:
    with pytest.raises(DroppedClip, match="no skeleton"):
        read(tmp_path, "\n".join([*ONE.splitlines()[:3], "0,,,,,,,,,"]))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("scorer", "clip", "line 1: its first rows should begin with scorer, .*data.format: table"),
        ("nose", "snout", "has no body part nose of mouse. It has Tail Base, ear, snout. Use a layout with its names"),
        ("ear", "NOSE", "'NOSE' and 'nose' may both be the body part nose"),
        ("ear", "nose", "line 3: has two columns 'nose x'"),
        ("bodyparts,Tail Base,Tail Base,", "bodyparts,,,", "line 2: holds labelled pictures"),
        ("coords,x,y", "coords,x", "line 3: its first rows have different numbers of fields"),
        ("coords,x,y", "coords,x,w", "has no column for 'Tail Base', y"),
        ("1,5,6", "img1.png,5,6", "line 5: 'frame' is 'img1.png', not a number"),
        ("1,5,6", "0.5,5,6", "line 5: the number of its frame is 0.5"),
        ("1,5,6", "0,5,6", "line 5: its frame is not after that of the row before"),
        ("3,7,8", "999999,7,8", "its frames are 0 to 999999; at most"),
        ("3,7,8", "3,seven,8", "line 6: 'Tail Base x' is 'seven', not a number"),
        ("3,7,8", "3,7", "line 6: has 9 fields; the header has 10"),
        ("0.25", "25", "a joint has the score 25; it should be from 0 to 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(BadClip, match=reason):
        read(tmp_path, ONE.replace(old, new))


def test_a_layout_in_space_is_refused_for_a_picture(tmp_path: Path) -> None:
    with pytest.raises(BadClip, match="mouse3d has coordinates: 3, but it has x and y only: use one of 2"):
        read(tmp_path, ONE, Source(SPACE, 1, ("run",)))


def test_a_table_of_deeplabcut_is_recognised_by_the_reader_of_other_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ONE)
    with pytest.raises(ValueError, match=r"data\.format: dlc"):
        get_reader("table", Source(FLAT, 2, ("run",))).entries(tmp_path)
