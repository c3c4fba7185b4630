"""Exported files: what they hold, what they compute, and when they are refused."""

import json
import os
import runpy
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
import torch
from deploy_probes import write_checkpoint

import last
from last.deploy import export as exporting
from last.deploy.backends import open_exported
from last.deploy.export import Exported, ExportRequest, export
from last.deploy.recogniser import evaluated_logits
from last.runs.checkpoint import read_checkpoint
from last.runs.checkpoint_model import model_of
from last.utils.errors import UserError
from last.utils.files import file_checksum

Array = np.ndarray[Any, Any]
UNIT = ("data.normalize.scale=unit",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def checkpoint(folder: Path, data_yaml: Path) -> Path:
    torch.manual_seed(0)
    return write_checkpoint(folder / "last.pth", data_yaml, "nano_e", False, "data.normalize.scale=unit")


@pytest.fixture(scope="module")
def exported(folder: Path, checkpoint: Path) -> list[Exported]:
    return export(ExportRequest(checkpoint, bodies=2, batch=2, threads=1), folder / "out")


def test_both_files_lie_there_whole_with_a_description(folder: Path, exported: list[Exported]) -> None:
    names = ["nano_e.bin", "nano_e.json", "nano_e.onnx", "nano_e.xml"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == names
    assert [path.name for each in exported for path in each.files] == ["nano_e.onnx", "nano_e.xml", "nano_e.bin"]
    assert all(each.size == sum(path.stat().st_size for path in each.files) for each in exported)


@pytest.mark.parametrize("number", [0, 1])
def test_each_runtime_gives_the_logits_that_evaluate_computes(
    number: int, checkpoint: Path, exported: list[Exported]
) -> None:
    content = read_checkpoint(checkpoint)
    joints = torch.randn(2, 3, 8, 25, 2)
    joints[0, ..., 1] = 0
    expected = evaluated_logits(model_of(content, ""), content.config.data, joints)
    run = open_exported(exported[number].files[0], threads=1)
    for _ in range(2):  # what a run gave stays as it is when the next one begins
        first = run(joints.numpy())
        run(np.zeros_like(joints.numpy()))
        np.testing.assert_allclose(first, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_the_onnx_file_is_one_file_with_a_fixed_opset_and_fixed_shapes(exported: list[Exported]) -> None:
    model = onnx.load(exported[0].files[0], load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 18)]
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    shapes = [[each.dim_value for each in value.type.tensor_type.shape.dim] for value in model.graph.input]
    assert shapes == [[2, 3, 8, 25, 2]]
    assert not {"BatchNormalization", "Softmax", "Dropout"} & {node.op_type for node in model.graph.node}


def test_the_files_tell_what_a_user_needs(folder: Path, checkpoint: Path, exported: list[Exported]) -> None:
    facts = json.loads((folder / "out" / "nano_e.json").read_text(encoding="utf-8"))
    assert facts["classes"] == ["rise", "fall", "still"]
    assert facts["input"]["shape"] == [2, 3, 8, 25, 2]
    assert facts["normalize"]["scale"] == "unit"
    assert facts["checkpoint_sha256"] == file_checksum(checkpoint)
    assert facts["exported"][0]["files"] == {"nano_e.onnx": file_checksum(exported[0].files[0])}
    stored = {each.key: each.value for each in onnx.load(exported[0].files[0]).metadata_props}
    assert json.loads(stored["classes"]) == facts["classes"]
    assert stored["checkpoint_sha256"] == facts["checkpoint_sha256"]
    model = openvino.Core().read_model(exported[1].files[0])
    assert model.get_rt_info(["last", "layout"]).astype(str) == "ntu25"


def test_no_path_of_the_machine_is_in_the_files(folder: Path, exported: list[Exported]) -> None:
    content = b"".join(path.read_bytes() for each in exported for path in each.files)
    assert str(Path(exporting.__file__).parents[1]).encode() not in content
    assert str(folder).encode() not in content


def test_averaged_weights_are_exported_unless_the_trained_ones_are_requested(
    tmp_path: Path, data_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = write_checkpoint(tmp_path / "last.pth", data_yaml, "nano_e", True)
    written = []
    monkeypatch.setattr(exporting, "write_onnx", lambda _path, recogniser, *_: written.append(recogniser))
    monkeypatch.setattr(exporting, "_compared", lambda *_: Exported("onnx", (), 0, 0.0, 0.0))
    for no_ema in (False, True):
        export(ExportRequest(checkpoint, ("onnx",), no_ema=no_ema), tmp_path / "out")
        facts = json.loads((tmp_path / "out" / "nano_e.json").read_text(encoding="utf-8"))
        assert facts["weights"] == ("trained" if no_ema else "averaged")
    content = read_checkpoint(checkpoint)
    for recogniser, weights in zip(written, (content.weights, content.model), strict=True):
        assert torch.equal(recogniser.network.classifier.weight, weights["classifier.weight"])


@pytest.mark.parametrize("wrong", [1.0, float("nan")])
def test_a_file_that_disagrees_is_not_left_behind(
    wrong: float, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "write_onnx", lambda path, *_: path.write_bytes(b"something"))
    monkeypatch.setattr(exporting, "open_exported", lambda *_: lambda joints: np.full((1, 3), wrong, np.float32))
    with pytest.raises(UserError, match=r"The onnx file has other logits than .*last\.pth.*Nothing was written"):
        export(ExportRequest(checkpoint, ("onnx",)), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_teacher_is_refused(tmp_path: Path, data_yaml: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "teacher.pth", data_yaml, "small")
    message = r"holds small, of the family last_v2\. Only LAST-E models and those of added families can be exported"
    with pytest.raises(UserError, match=message):
        export(ExportRequest(checkpoint), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_whose_name_is_not_utf_8_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(UserError, match=r"The name of the folder .*caf.* should be UTF-8 text\. .*--out") as refusal:
        export(ExportRequest(tmp_path / "nothing.pth"), out)
    assert str(refusal.value).isprintable()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_the_extra(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match=r"needs openvino, .*pip install 'last-har\[deploy\]'"):
        export(ExportRequest(checkpoint), tmp_path)
    with pytest.raises(UserError, match=r"last-har\[deploy\]"):  # before anything is read
        export(ExportRequest(tmp_path / "nothing.pth"), tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.pth", b"", "should end in .onnx or .xml"),
        ("model.onnx", b"torn", "cannot be read by ONNX Runtime"),
        ("model.xml", b"torn", "cannot be read by OpenVINO"),
        ("model.onnx", None, "There is no file"),
    ],
)
def test_a_file_that_is_no_exported_model_is_refused(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_exported(tmp_path / name)


def prepare_function(sheet: str) -> Any:
    """Return the function `prepared` of docs/data.md for the facts beside an exported file."""
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    (program,) = (part.split("```")[0] for part in text.split("```python\n") if "def prepared(" in part)
    path = Path(sheet).with_name("prepared.py")
    path.write_text(program.replace("exports/nano_e.json", sheet), encoding="utf-8")
    return runpy.run_path(str(path))["prepared"]


def nothing(joints: Array) -> None:
    joints[:] = np.nan


def all_zeros(joints: Array) -> None:
    joints[:] = 0


def one_joint_in_one_frame(joints: Array) -> None:
    joints[np.arange(joints.size).reshape(joints.shape) // 3 != 25 * 3 + 9] = np.nan


def one_joint_of_all_frames(joints: Array) -> None:
    joints[:, :, 1:] = np.nan


def absent_frames(joints: Array) -> None:
    joints[:, 3:6], joints[1, 8:10] = 0, np.nan


def short_and_long_gaps(joints: Array) -> None:
    joints[0, 6:9, 4], joints[0, 6:17, 11], joints[1, 9, 12] = np.nan, np.nan, np.nan


def single_coordinates(joints: Array) -> None:
    joints[0, 4:9, 7, 1], joints[0, :, 8, 2] = np.nan, np.nan


def no_centre(joints: Array) -> None:
    joints[0, :, 1] = np.nan  # spine_mid


def a_second_body_alone(joints: Array) -> None:
    joints[0] = np.nan


HARD = [
    *(nothing, all_zeros, one_joint_in_one_frame, one_joint_of_all_frames, absent_frames, short_and_long_gaps),
    *(single_coordinates, no_centre, a_second_body_alone),
]


@pytest.mark.parametrize("settings", [(), ("data.sampling.method=uniform", "data.normalize.scale=none")])
@pytest.mark.parametrize("change", HARD)
def test_files_agree_with_the_model_on_what_model_inputs_makes_of_a_recording(
    settings: tuple[str, ...], change: Callable[[Array], None], data_yaml: Path, exported_as: Any
) -> None:
    checkpoint, sheet, files = exported_as(*settings)
    joints = np.random.default_rng(5).normal(3, 1, size=(2, 21, 25, 3))
    confidence = np.random.default_rng(6).choice([0.1, 0.4, 1.0], p=[0.1, 0.1, 0.8], size=(2, 21, 25))
    change(joints)
    model = last.load_checkpoint(checkpoint)
    clip = prepare_function(sheet)(joints, confidence)[None]
    assert clip.shape == (1, 3, 8, 25, 2) and clip.dtype == np.float32
    found = [open_exported(path, threads=1)(np.ascontiguousarray(clip)) for path in files]
    if change in (nothing, all_zeros):
        assert all(np.isnan(each).all() for each in found)
        return
    with torch.no_grad():
        expected = model(*last.model_inputs(model, joints, confidences=confidence)).numpy()
    assert np.isfinite(expected).all()
    for each in found:
        np.testing.assert_allclose(each, expected, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def exported_as(folder: Path, data_yaml: Path) -> Any:
    """Return a function that exports a model trained with some settings: its checkpoint, its JSON and its files."""

    @cache
    def once(*settings: str) -> tuple[Path, str, list[Path]]:
        place = folder / f"as{len(settings)}"
        place.mkdir()
        torch.manual_seed(1)
        every = ("data.normalize.face_camera=true", "data.min_confidence=0.3", *(settings or UNIT))
        checkpoint = write_checkpoint(place / "last.pth", data_yaml, "nano_e", False, *every)
        files = [each.files[0] for each in export(ExportRequest(checkpoint, bodies=2, threads=1), place)]
        return checkpoint, str(place / "nano_e.json"), files

    return once
