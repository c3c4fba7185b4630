"""What every reader of class folders shares."""

from pathlib import Path

from last.data.preparation.formats import Source
from last.data.preparation.formats.class_folders import ClassFolderReader
from last.skeleton import load_layout


class TwoEndings(ClassFolderReader):
    """A reader of texts, packed or not."""

    endings = (".pose", ".pose.gz")
    expected = "class_name/clip.pose"


def test_the_longest_ending_is_cut_off_the_name_of_a_recording(tmp_path: Path) -> None:
    for name in ("one_P3.pose", "two.POSE.gz", "three.gz"):
        (tmp_path / "wave" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "wave" / name).write_text("x")
    reader = TwoEndings(Source(load_layout("ntu25"), 1, ("wave",)))
    entries = reader.entries(tmp_path)
    assert [entry.name for entry in entries] == ["wave/one_P3", "wave/two"]
    assert reader.describe(entries[0].name).subject == 3
