"""A reader is one file, found by its name; with a YAML the commands prepare its recordings and train on them."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from conftest import TINY

from last.data import open_store
from last.data.preparation import readers
from last.data.preparation.formats import list_formats

DATA = """
data:
  name: lines
  layout: sbu15
  format: joint_lines
  bodies: 1
  classes: [push, wave]
  split: own
  protocols: {own: {by: subject, test: [4]}}
"""


def test_a_reader_in_one_file_is_prepared_and_trained(
    cli: Callable[..., Any], plug_in: Callable[[ModuleType, Path], None], tmp_path: Path
) -> None:
    plug_in(readers, Path(__file__).with_name("joint_lines.py"))
    raw = tmp_path / "raw"
    raw.mkdir()
    rng = np.random.default_rng(0)
    for take in range(8):
        for name in ("push", "wave"):
            np.savetxt(raw / f"{name}_{take}.joints", rng.normal(size=(6, 45)))
    (tmp_path / "lines.yaml").write_text(DATA)
    assert "joint_lines" in list_formats()

    data = ("--dataset", tmp_path / "lines.yaml", "--data_root", tmp_path / "data")
    assert cli("preprocess", *data, "--raw", raw).code == 0
    store = open_store(tmp_path / "data" / "lines")
    assert (len(store.clips), store.clips["label"].tolist()[::8]) == (16, [0, 1])
    run = ("train", "--model", "nano_e", *data, "--output_root", tmp_path / "runs", "--epochs", 1, "--set", *TINY)
    assert cli(*run).code == 0
