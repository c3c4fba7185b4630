"""The record of the steps that `start` has done: what counts as done, and which options go on with a folder."""

from pathlib import Path

import pytest

from last.cli.start_record import DoneSteps, made_from
from last.utils.errors import UserError


def test_a_step_is_done_while_its_command_and_its_files_are_the_same_and_its_output_is_there(tmp_path: Path) -> None:
    read, made = tmp_path / "recipe.yaml", tmp_path / "model.onnx"
    for path in (read, made):
        path.write_text("1")
    DoneSteps(tmp_path / "steps.json").note("export", made_from(["export", "--out", "a"], [read]))
    done = DoneSteps(tmp_path / "steps.json")
    assert done.is_done("export", made_from(["export", "--out", "a"], [read]), made)
    assert not done.is_done("export", made_from(["export", "--out", "b"], [read]), made)
    assert not done.is_done("train", made_from(["export", "--out", "a"], [read]), made)
    read.write_text("2")
    assert not done.is_done("export", made_from(["export", "--out", "a"], [read]), made)
    read.write_text("1")
    made.unlink()
    assert not done.is_done("export", made_from(["export", "--out", "a"], [read]), made)


def test_options_go_on_as_they_began_and_others_are_refused(tmp_path: Path) -> None:
    done = DoneSteps(tmp_path / "steps.json")
    assert (done.agreed("minutes", None, 5.0), done.agreed("minutes", 2.0, 5.0)) == (5.0, 2.0)
    done.note_options({"minutes": 2.0, "split_by": None})
    done = DoneSteps(tmp_path / "steps.json")
    assert (done.agreed("minutes", None, 5.0), done.agreed("minutes", 2.0, 5.0)) == (2.0, 2.0)
    with pytest.raises(UserError, match=r"was started with --minutes 2.0: omit --minutes 7.0 .*another --out"):
        done.agreed("minutes", 7.0, 5.0)
    with pytest.raises(UserError, match="was started without --split_by"):
        done.agreed("split_by", "camera", None)


@pytest.mark.parametrize("content", ["", "[]", '{"steps": 3, "options": []}', "{"])
def test_a_damaged_record_counts_as_empty(content: str, tmp_path: Path) -> None:
    (tmp_path / "steps.json").write_text(content)
    done = DoneSteps(tmp_path / "steps.json")
    assert not done.is_done("export", "", tmp_path)
    assert done.agreed("seed", None, 0) == 0
