"""The folders that results are written to."""

import argparse
from pathlib import Path

from last.cli.folders import results_folder


def test_no_part_of_a_name_leads_out_of_the_folder_of_a_run(tmp_path: Path) -> None:
    checkpoint = tmp_path / "runs" / "one" / "checkpoints" / "last.pth"
    checkpoint.parent.mkdir(parents=True)
    options = argparse.Namespace(env="", data_root=None, output_root=tmp_path / "runs")
    for split in ("../../../x", str(tmp_path / "x"), "a/b"):
        found = results_folder(options, checkpoint, "evaluation", ["last", split, "test"])
        assert found.parent == tmp_path / "runs" / "one" / "evaluation"
