"""What recordings are, without a description: the layout of tables, which are read once."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from last.data.preparation.formats import Entry
from last.data.preparation.formats.csv_rows import CsvFile, CsvRows
from last.data.preparation.readers import folder, table
from last.data.preparation.recognise import open_recordings, recognised
from last.skeleton import load_layout
from last.utils.errors import UserError


def write_long(path: Path, layout: str, axes: str = "xyz", frames: int = 4, clips: int = 2) -> Path:
    """Write a table with a row per joint."""
    joints = load_layout(layout).joints
    rows = [
        ",".join([f"clip{clip}", str(frame), joint, *(f"0.{number}" for number in range(len(axes))), f"class{clip}"])
        for clip in range(clips)
        for frame in range(frames)
        for joint in joints
    ]
    path.write_text("\n".join([f"clip,frame,joint,{','.join(axes)},label", *rows]) + "\n")
    return path


def write_wide(path: Path, layout: str, axes: str = "xyz") -> Path:
    """Write a table with a row per frame."""
    names = [f"{joint}_{axis}" for joint in load_layout(layout).joints for axis in axes]
    rows = [",".join(["wave", *(["0.5"] * len(names))])] * 3
    path.write_text("\n".join([",".join(["label", *names]), *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("write", "layout", "axes", "found"),
    [
        (write_long, "ntu25", "xyz", "ntu25"),
        (write_wide, "ntu25", "xyz", "ntu25"),
        (write_wide, "coco17", "xyz", "coco17"),
        (write_wide, "coco17", "xy", "coco17_2d"),
    ],
)
def test_the_layout_of_a_table_is_the_one_with_its_joints_and_axes(
    write: Callable[[Path, str, str], Path], layout: str, axes: str, found: str, tmp_path: Path
) -> None:
    assert recognised(write(tmp_path / "poses.csv", layout, axes)).layout == found


@pytest.mark.parametrize(("given", "name"), [("session.1", "session.1"), ("session.1/poses.v2.csv", "poses.v2")])
def test_a_folder_has_its_whole_name_and_a_file_its_name_without_the_ending(
    given: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "session.1").mkdir()
    write_long(tmp_path / "session.1" / "poses.v2.csv", "ntu25")
    assert recognised(tmp_path / given).name == name


def test_joints_that_several_layouts_have_are_told_with_their_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fit several joint layouts: name one with --layout body25_2d, coco17_2d, "):
        recognised(write_long(tmp_path / "poses.csv", "coco17", "xy"))


def test_a_table_is_read_once_to_find_its_layout_its_classes_and_its_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_long(tmp_path / "poses.csv", "ntu25", frames=40)
    monkeypatch.setattr(table, "_START_BYTES", 4000)
    read, sizes = CsvFile.read, []

    def noted(self: CsvFile, *arguments: object) -> CsvRows:
        rows = read(self, *arguments)  # type: ignore[arg-type]
        sizes.append(len(rows.lines))
        return rows

    monkeypatch.setattr(CsvFile, "read", noted)
    _, entries, classes = open_recordings(recognised(path), path)
    assert (len(entries), classes) == (2, ["class0", "class1"])
    assert sizes.count(2 * 40 * 25) == 1
    assert max(size for size in sizes if size != 2 * 40 * 25) < 200, "only the first rows otherwise"


def test_a_table_with_other_columns_is_read_again_and_a_changed_one_too(tmp_path: Path) -> None:
    path = write_long(tmp_path / "poses.csv", "coco17", clips=1)
    for layout, coordinates in (("coco17_2d", 2), ("coco17", 3)):
        reader, (entry,), _ = open_recordings(recognised(path, layout=layout), path)
        assert reader.read(entry).joints.shape[-1] == coordinates
    write_long(path, "coco17", clips=3)
    assert len(open_recordings(recognised(path, layout="coco17"), path)[1]) == 3


@pytest.mark.parametrize("layout", ["", "ntu25"])
def test_a_table_with_a_header_alone_is_said_to_have_no_rows(layout: str, tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_text("clip,frame,joint,x,y,z,label\n")
    with pytest.raises(UserError, match="has no rows below its header"):
        open_recordings(recognised(path, layout=layout), path)


def test_joints_that_no_layout_has_are_told(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_text("frame,joint,x,y,z\n0,antenna,1,2,3\n0,left_wing,1,2,3\n")
    with pytest.raises(UserError, match="fit none of the known joint layouts"):
        recognised(path)


def test_one_of_the_first_tables_that_fits_is_enough(tmp_path: Path) -> None:
    write_long(tmp_path / "b.csv", "ntu25")
    (tmp_path / "a.csv").write_text("frame,joint,x,y,z\n")
    assert recognised(tmp_path).layout == "ntu25"


def test_a_folder_is_listed_once_whatever_its_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wave").mkdir()
    for number in range(4):
        np.save(tmp_path / "wave" / f"{number}.npy", np.random.default_rng(0).normal(size=(5, 15, 3)))
    list_all, listed = folder.Reader.entries, []

    def entries(self: folder.Reader, raw: Path) -> Sequence[Entry]:
        listed.append(raw)
        return list_all(self, raw)

    monkeypatch.setattr(folder.Reader, "entries", entries)
    assert recognised(tmp_path).layout == "sbu15" and len(listed) == 1


def test_loose_files_without_classes_have_a_layout_too(tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).normal(size=(5, 15, 3)))
    assert recognised(tmp_path).layout == recognised(tmp_path / "clip.npy").layout == "sbu15"
