"""Tables: their two forms, the names of their columns, and what is refused with its line."""

import gzip
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from last.data.preparation.formats import BadClip, Source, csv_rows
from last.data.preparation.readers.folder import Reader as FolderReader
from last.data.preparation.readers.table import Reader
from last.data.store.clip import Clip
from last.skeleton import LayoutFile, build_layout
from last.utils.errors import UserError

OWN = LayoutFile(joints=["head", "left_hand", "right_hand"], bones=[[2, 1], [3, 1]], root=1, center=1, coordinates=2)
SOURCE = Source(build_layout("three", OWN, "three.yaml"), 2, ("clap", "wave"))
LONG = "clip,frame,body,joint,x,y,confidence,label,subject"


def write(folder: Path, *lines: str, name: str = "a.csv") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder


def clips(raw: Path, source: Source = SOURCE, **columns: str) -> list[Clip]:
    reader = Reader(replace(source, columns=tuple(columns.items())))
    return [reader.read(entry) for entry in reader.entries(raw)]


def a_long_clip(frames: Sequence[int] = (0, 1)) -> list[str]:
    """Return rows of two bodies, whose joint j is at (10 b + j, frame)."""
    return [
        f"one,{frame},{body},{joint},{10 * body + number},{frame},0.5,wave,7"
        for frame in frames
        for body in (0, 1)
        for number, joint in enumerate(OWN.joints)
    ]


def test_a_row_per_joint_is_read_with_its_confidence_label_and_subject(tmp_path: Path) -> None:
    (clip,) = clips(write(tmp_path, LONG, *a_long_clip()))
    assert (clip.name, clip.label, clip.subject, clip.joints.shape) == ("one", 1, 7, (2, 2, 3, 2))
    np.testing.assert_array_equal(clip.joints[1, 1], [[10, 1], [11, 1], [12, 1]])
    assert clip.confidence is not None and (clip.confidence == 1 + 127).all()


def test_a_row_per_frame_is_the_same_clip(tmp_path: Path) -> None:
    (expected,) = clips(write(tmp_path / "long", LONG, *a_long_clip()))
    header = [f"{joint}_{what}" for joint in OWN.joints for what in ("x", "y", "likelihood")]
    rows = [
        ",".join(["one", "wave", "P007", str(body), str(frame), *(f"{10 * body + j},{frame},0.5" for j in range(3))])
        for body in (0, 1)
        for frame in (0, 1)
    ]
    (clip,) = clips(
        write(tmp_path / "wide", ",".join(["video", "class", "signer", "track_id", "frame", *header]), *rows)
    )
    np.testing.assert_array_equal(clip.joints, expected.joints)
    np.testing.assert_array_equal(clip.confidence, expected.confidence)
    assert (clip.label, clip.subject) == (expected.label, expected.subject)


@pytest.mark.parametrize("form", ["x{}", "x_{}", "kp{}_x", "{}_x", "joint_{}_x"])
@pytest.mark.parametrize("first", [0, 1])
def test_joints_of_a_row_per_frame_may_be_numbered(form: str, first: int, tmp_path: Path) -> None:
    names = [form.format(first + joint).replace("x", axis) for joint in range(3) for axis in "xy"]
    (clip,) = clips(write(tmp_path, ",".join(["label", *names]), "wave,0,0,1,2,3,4", "wave,0,0,5,6,7,8"))
    np.testing.assert_array_equal(clip.joints[0, 1], [[0, 0], [5, 6], [7, 8]])
    assert clip.name == "a"


def test_a_row_that_is_absent_is_a_missing_joint_or_an_absent_body(tmp_path: Path) -> None:
    rows = [row for row in a_long_clip() if not row.startswith(("one,0,0,left_hand", "one,1,1"))]
    (clip,) = clips(write(tmp_path, LONG, *rows))
    assert clip.frame_mask.tolist() == [[True, True], [True, False]]
    assert np.argwhere(~clip.joint_mask[0]).tolist() == [[0, 1]]


@pytest.mark.parametrize("is_wide", [False, True])
def test_a_frame_without_a_row_keeps_the_time_of_those_after_it(is_wide: bool, tmp_path: Path) -> None:
    lines = [LONG, *a_long_clip((2, 3, 5))]
    if is_wide:
        lines = ["frame,body,label,x0,y0,x1,y1,x2,y2"]
        lines += [f"{t},{b},wave,{10 * b},{t},{10 * b + 1},{t},{10 * b + 2},{t}" for t in (2, 3, 5) for b in (0, 1)]
    (clip,) = clips(write(tmp_path, *lines), replace(SOURCE, source_fps=30.0))
    assert clip.frame_mask.tolist() == [[True, True, False, True]] * 2
    np.testing.assert_array_equal(clip.joints[1, 3], [[10, 3], [11, 3], [12, 3]])


def test_an_empty_field_is_a_missing_joint(tmp_path: Path) -> None:
    rows = [row.replace(",0.5,", ",,") if ",head," in row else row for row in a_long_clip((0,))]
    (clip,) = clips(write(tmp_path, LONG, *rows))
    assert clip.joint_mask.tolist() == [[[False, True, True]]] * 2


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_marks_and_packings_are_read_alike(delimiter: str, tmp_path: Path) -> None:
    text = "\r\n".join([LONG, "", *a_long_clip()]).replace(",", delimiter)
    (tmp_path / "A.CSV.GZ").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    (clip,) = clips(tmp_path)
    assert (clip.name, clip.joints.shape) == ("one", (2, 2, 3, 2))


def test_the_found_columns_are_told_and_others_can_be_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    header = "footage,frame_number,person,keypoint,u,v,score,class,who,colour"
    raw = write(tmp_path, header, *(f"{row},red" for row in a_long_clip()))
    (clip,) = clips(raw, clip="footage", x="u", y="v", subject="who")
    assert (clip.name, clip.subject) == ("one", 7)
    assert "clip: footage" in caplog.text and "confidence: score" in caplog.text and "'colour'" in caplog.text


def test_times_become_the_frame_rate(tmp_path: Path) -> None:
    lines = ["label,time,x0,y0,x1,y1,x2,y2", *(f"wave,{frame / 25},0,0,1,2,3,{frame}" for frame in range(4))]
    (clip,) = clips(write(tmp_path, *lines))
    assert clip.fps == pytest.approx(25) and clip.joints.shape[1] == 4


def test_a_frame_rate_beside_other_times_is_refused(tmp_path: Path) -> None:
    lines = ["label,time,fps,x0,y0,x1,y1,x2,y2", *(f"wave,{frame / 25},25,0,0,1,2,3,{frame}" for frame in range(4))]
    assert clips(write(tmp_path / "equal", *lines))[0].fps == 25
    with pytest.raises(BadClip, match="its fps is 50, but its times are those of 25"):
        clips(write(tmp_path / "other", lines[0], *(line.replace(",25,", ",50,") for line in lines[1:])))


def timed(times: Sequence[float], form: str) -> list[str]:
    """Return a table of 2 bodies at these times, by frame, or in blocks of each body or of each joint."""
    rows = [(time, body, joint) for time in times for body in (0, 1) for joint in SOURCE.layout.joints]
    order = {
        "frame": lambda row: 0,
        "body": lambda row: row[1],
        "joint": lambda row: SOURCE.layout.joints.index(row[2]),
    }
    rows = sorted(rows, key=order[form])
    return ["label,time,body,joint,x,y", *(f"wave,{time},{body},{joint},1,{time}" for time, body, joint in rows)]


@pytest.mark.parametrize("form", ["frame", "body", "joint"])
def test_times_that_run_backwards_are_treated_as_those_of_an_array_in_any_order_of_the_rows(
    form: str, tmp_path: Path
) -> None:
    times = [frame / 25 for frame in range(8)]
    (clip,) = clips(write(tmp_path / "regular", *timed(times, form)))
    assert (clip.fps, clip.retimed, clip.joints.shape[1]) == (25, "", 8)
    times[3:5] = times[4], times[3]
    (clip,) = clips(write(tmp_path / "one", *timed(times, form)))
    assert clip.retimed.startswith("1 frame before an earlier one")
    with pytest.raises(BadClip, match="run backwards"):
        clips(write(tmp_path / "all", *timed([5, 3, 1], form)))


@pytest.mark.parametrize("last_body", [0, 1])
def test_a_joint_or_a_body_that_appears_later_does_not_make_times_run_backwards(last_body: int, tmp_path: Path) -> None:
    lines = [line for line in timed([0, 0.04, 0.08, 0.12], "joint") if not line.startswith(f"wave,0.04,{last_body}")]
    (clip,) = clips(write(tmp_path, *lines))
    assert (clip.fps, clip.retimed) == (25, "") and clip.frame_mask[last_body].tolist() == [True, False, True, True]


def test_clips_of_several_files_are_named_after_both(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write(tmp_path, LONG, *a_long_clip(), name=name)
    assert [clip.name for clip in clips(tmp_path)] == ["a/one", "b/one"]


@pytest.mark.parametrize("mark", ["", "P"])
@pytest.mark.parametrize("files", [1, 3])
def test_a_person_0_is_known_and_the_others_keep_their_numbers(
    mark: str, files: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rows = {who: [row.replace(",7", f",{who}").replace("one", f"c{who}") for row in a_long_clip()]
            for who in (f"{mark}0", f"{mark}1", f"{mark}2", "")}  # fmt: skip
    parts = [*rows.values()] if files > 1 else [[row for each in rows.values() for row in each]]
    for number, part in enumerate(parts):
        write(tmp_path, LONG, *part, name=f"{number}.csv")
    assert sorted((clip.name[-1], clip.subject) for clip in clips(tmp_path)) == [("0", 3), ("1", 1), ("2", 2), ("c", 0)]
    assert f"3 {mark}0" in caplog.text
    reader = Reader(SOURCE)
    assert {reader.metadata(entry).subject for entry in reader.entries(tmp_path)} == {0, 1, 2, 3}


def test_a_column_of_nothing_but_0_knows_nobody(tmp_path: Path) -> None:
    rows = [row.replace(",7", ",0") for row in a_long_clip()]
    assert [clip.subject for clip in clips(write(tmp_path, LONG, *rows))] == [0]


def test_people_with_names_are_numbered_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rows = [row.replace(",7", f",{who}").replace("one", who) for who in ("Zoe", "Anna") for row in a_long_clip()]
    assert [(clip.name, clip.subject) for clip in clips(write(tmp_path, LONG, *rows))] == [("Anna", 1), ("Zoe", 2)]
    assert "1 Anna, 2 Zoe" in caplog.text
    write(tmp_path, LONG, *(row.replace(",7", ",Bob") for row in a_long_clip()), name="b.csv")
    with pytest.raises(UserError, match=r"names 'Bob' without a number of its own: use numbers"):
        clips(tmp_path)


BAD_ROWS = {
    "one,1,0,head,1;2,0,0.5,wave,7": "line 8: 'x' is '1;2', not a number",
    "one,1,0,head,1_0,0,0.5,wave,7": "line 8: 'x' is '1_0', not a number",
    "one,1.5,0,head,1,0,0.5,wave,7": "line 8: the number of its frame is 1.5",
    "one,,0,head,1,0,0.5,wave,7": "line 8: the number of its frame is nan",
    "one,0,0,head,1,0,0.5,wave,7": "line 8: there is an earlier row for the same body, frame and joint",
    "one,1,0,head,1,0,0.5,clap,7": "line 8: the label is 'clap', but 'wave' in the clip's first row",
    "one,999999999,0,head,1,0,0.5,wave,7": "its frames are 0 to 999999999",
    "one,1,0,head,1,0,5,wave,7": "the confidence 5; it should be from 0 to 1",
    "one,1,0,head,inf,0,1,wave,7": "is at inf",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_bad_row_costs_its_clip_alone_and_is_named(row: str, tmp_path: Path) -> None:
    other = [line.replace("one", "two") for line in a_long_clip((0,))]
    reader = Reader(SOURCE)
    first, second = reader.entries(write(tmp_path, LONG, *a_long_clip((0,)), row, *other))
    with pytest.raises(BadClip) as problem:
        reader.read(first)
    assert BAD_ROWS[row] in str(problem.value)
    assert reader.read(second).name == "two"


def test_a_clip_of_too_many_coordinates_is_refused_before_they_are_allocated(tmp_path: Path) -> None:
    rows = [f"one,0,{body},head,0,0,1,wave,7" for body in range(11)] + [f"one,{(1 << 18) - 1},0,head,0,0,1,wave,7"]
    with pytest.raises(BadClip, match="one: has more than 16777216 coordinates, too many for one recording"):
        clips(write(tmp_path, LONG, *rows))


BAD_FILES = {
    "clip,frame,joint,x,y,label\none,0,head,1,2": "line 2: has 5 fields; the header has 6",
    "clip,frame,joint,x,y,label\none,0,nose,1,2,wave": "three has no joint 'nose'",
    "clip,frame,joint,x,y,label\none,0,7,1,2,wave": "its joints are numbered 7 to 7, but three has 3",
    "clip,frame,joint,x,label\none,0,head,1,wave": "no column for y: say which it is under data.columns",
    "clip,frame,joint,x,y\none,0,head,1,2": "no column for label",
    "clip,joint,x,y,label\none,head,1,2,wave": "no column for frame",
    "clip,frame,x,y,label\none,0,1,2,wave": "no column for head_x, head_y",
    "clip,frame,joint,x,x,label\none,0,head,1,2,wave": "has two columns 'x'",
    "clip,frame,joint,x,y,class,action\none,0,head,1,2,a,b": "'class' and 'action' may both be the label",
    "clip,frame,joint,x,y,label\n": "has no rows below its header",
    "clip,frame,joint,x,y,label\n ,0,head,1,2,wave": "line 2: the clip has no name",
    'clip,frame,joint,x,y,label\n"one,0,head,1,2,wave\n': "is not a row of CSV",
    'clip,frame,joint,x,y,label\n"o\nne",0,head,1,2,wave\n': "line 2: a field holds a line break",
    "clip,frame,joint,x,y,label\n" + "o" * 300 + ",0,head,1,2,wave": "has a clip of 300 characters",
    "1,2,3,4\n5,6,7,8": "has no names of columns in its first line",
    "clip,frame,joint,x,y,label\none,0,head,1,2,Wave": "'Wave' Did you mean 'wave'?",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_table_that_cannot_be_used_is_refused_with_its_name_and_what_to_do(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as problem:
        clips(write(tmp_path, text))
    assert BAD_FILES[text] in str(problem.value) and "a.csv" in str(problem.value)


@pytest.mark.parametrize("columns", [{"clap": "clip"}, {"clip": "clipp"}])
def test_a_wrong_mapping_of_columns_is_refused_with_the_nearest_name(columns: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.columns.*Did you mean 'clip'"):
        clips(write(tmp_path, LONG, *a_long_clip()), **columns)


def test_a_table_of_too_many_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "MOST_ROWS", 11)
    with pytest.raises(UserError, match=r"has more than 11 rows.*divide it into files"):
        clips(write(tmp_path, LONG, *a_long_clip()))


def test_a_folder_without_a_table_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"x")
    with pytest.raises(UserError, match=r"There is no table in .*1 .xlsx"):
        clips(tmp_path)


def test_a_clip_of_a_class_folder_may_be_a_table(tmp_path: Path) -> None:
    (expected,) = clips(write(tmp_path / "table", LONG, *a_long_clip()))
    rows = [row.removeprefix("one,").removesuffix(",wave,7") for row in a_long_clip()]
    (tmp_path / "raw" / "clap").mkdir(parents=True)
    write(tmp_path / "raw" / "wave", "frame,body,joint,x,y,confidence", *rows, name="take_P7.CSV")
    reader = FolderReader(SOURCE)
    (entry,) = reader.entries(tmp_path / "raw")
    clip = reader.read(entry)
    assert (clip.name, clip.label, clip.subject) == ("wave/take_P7", 1, 7)
    np.testing.assert_array_equal(clip.joints, expected.joints)
    write(tmp_path / "raw" / "wave", LONG, *a_long_clip(), *[row.replace("one", "two") for row in a_long_clip()])
    with pytest.raises(BadClip, match=r"wave/a, line 14: the clip is 'two', but 'one'"):
        reader.read(reader.entries(tmp_path / "raw")[0])


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_to_nothing_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, LONG, *a_long_clip())
    (tmp_path / "b.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(
        UserError, match=r"Cannot read .*b\.csv: No such file or directory\. .*remove it if it is a link"
    ):
        clips(tmp_path)
