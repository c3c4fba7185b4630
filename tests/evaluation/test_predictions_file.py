"""The predictions that an evaluation left in a run."""

from pathlib import Path

import pytest

from last.evaluation.predictions_file import evaluation_folder, read_recognised
from last.runs.folder import RunFolder
from last.utils.errors import UserError


def test_they_lie_where_evaluate_writes_the_report_of_the_last_epoch() -> None:
    assert evaluation_folder(RunFolder(Path("run"))) == Path("run/evaluation/last-test")
    assert evaluation_folder(RunFolder(Path("run")), "val") == Path("run/evaluation/last-val")


def test_clips_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text("name,true_label,correct\nb,1,1\na,0,0\n")
    assert list(read_recognised(tmp_path / "predictions.csv").items()) == [("a", False), ("b", True)]


@pytest.mark.parametrize("content", [b"", b"name,label\na,1\n", b"name,correct\n", b"\xff\xfe"])
def test_a_damaged_file_is_named_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"predictions\.csv .*evaluate the run again"):
        read_recognised(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_recognised(tmp_path / "none.csv")
