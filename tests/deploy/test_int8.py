"""The command `export --format int8`: its file, and what it says of what that costs and gains."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import CommandResult
from deploy_probes import SharedExport, write_checkpoint

import last
from last.data import open_store
from last.deploy.arrays import array_of_clip
from last.deploy.int8 import Int8Comparison, Measured, quantize


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, data_yaml: Path) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("int8") / "last.pth", data_yaml)


@pytest.mark.long
def test_its_file_is_measured_beside_the_other_and_classifies_as_it_does(
    cli: Callable[..., CommandResult], checkpoint: Path, data_yaml: Path, tmp_path: Path
) -> None:
    data_root = data_yaml.parent / "data"
    flags = ["--data_root", data_root, "--out", tmp_path, "--threads", 1, "--calibrate", 6]
    result = cli("export", "--checkpoint", checkpoint, "--format", "int8", *flags)
    assert result.code == 0, result.err
    rows = [line.split() for line in result.out.split("8-bit numbers")[1].splitlines() if "nano_e" in line]
    assert [row[0] for row in rows[:2]] == ["nano_e.onnx", "nano_e_int8.onnx"]
    floats, int8 = (last.Recognizer(tmp_path / row[0], threads=1) for row in rows[:2])
    assert int8.facts.all["precision"] == "int8" and int8.classes == floats.classes
    clips = list(open_store(data_root / "tiny"))
    difference = max(
        abs(floats(clip).probabilities[name] - value)
        for clip in clips
        for name, value in int8(clip).probabilities.items()
    )
    assert 0 < difference < 0.1
    described = json.loads((tmp_path / "nano_e_int8.json").read_text(encoding="utf-8"))
    assert described["exported"][0]["files"].keys() == {"nano_e_int8.onnx"} and described["precision"] == "int8"
    assert "## 8-bit numbers" in (tmp_path / "nano_e_int8.md").read_text(encoding="utf-8")
    assert "another label" in result.out


def test_clips_without_a_measured_joint_neither_calibrate_nor_count(
    shared_export: SharedExport, data_yaml: Path, tmp_path: Path
) -> None:
    clips = list(open_store(data_yaml.parent / "data" / "tiny"))[:4]
    arrays = [array_of_clip(clip, 2) for clip in clips]
    arrays[0] = np.full_like(arrays[0], np.nan)
    found = quantize(shared_export.model, tmp_path / "a_int8.onnx", arrays, arrays, [each.label for each in clips], 1)
    assert found.clips == 3
    assert last.Recognizer(found.path, threads=1)(clips[1]).label in ("rise", "fall", "still")
    card = found.path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"{found.int8.top1:.2f} % top-1 on 3 test clips of the split, measured with this file" in card
    assert "measured in training" not in card and "Compared with the checkpoint" not in card
    with pytest.raises(last.utils.errors.UserError, match=r"No training clip that .* can use"):
        quantize(shared_export.model, tmp_path / "b_int8.onnx", arrays[:1], arrays, [0] * 4, 1)


def test_an_8_bit_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a_int8.onnx").write_bytes(b"cut")
    with pytest.raises(last.utils.errors.UserError, match="cannot be read by ONNX Runtime"):
        last.Recognizer(tmp_path / "a_int8.onnx")


@pytest.mark.parametrize(("milliseconds", "pays"), [(0.9, True), (1.1, False)])
def test_it_pays_where_it_is_faster(milliseconds: float, pays: bool) -> None:
    found = Int8Comparison(Path("a"), Measured(4, 90.0, 1.0), Measured(1, 89.0, milliseconds), 10, 1)
    assert found.pays == pays
    assert np.isfinite(found.int8.top1)
