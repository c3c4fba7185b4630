"""Exported files: what they hold, what they compute, and when they are refused."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
import torch
from deploy_probes import SharedExport, write_checkpoint

import last
from last.data import open_store
from last.deploy import export as exporting
from last.deploy.arrays import with_bodies
from last.deploy.backends import Opened, open_exported
from last.deploy.contract import FORMAT, Outputs, facts_from
from last.deploy.export import Exported, ExportRequest, export, random_recordings
from last.runs.checkpoint import read_checkpoint
from last.utils.errors import UserError
from last.utils.files import file_checksum

Array = np.ndarray[Any, Any]
BOTH = ("onnx", "openvino")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def checkpoint(folder: Path, data_yaml: Path) -> Path:
    """Return a student with every switch of the architecture on; `shared_export` has none."""
    torch.manual_seed(0)
    switches = ("graph_subsets=[mirror]", "learned_adjacency=true", "joint_embedding=true", "stream_channels=wide")
    settings = ("data.normalize.scale=unit", *(f"model.{each}" for each in switches))
    return write_checkpoint(folder / "last.pth", data_yaml, "nano_e", False, *settings)


@pytest.fixture(scope="module")
def exported(folder: Path, checkpoint: Path) -> list[Exported]:
    return export(ExportRequest(checkpoint, BOTH, threads=1), folder / "out")


def test_both_files_lie_there_whole_with_a_description(folder: Path, exported: list[Exported]) -> None:
    names = ["nano_e.bin", "nano_e.json", "nano_e.md", "nano_e.onnx", "nano_e.xml"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == names
    assert [path.name for each in exported for path in each.files] == ["nano_e.onnx", "nano_e.xml", "nano_e.bin"]
    assert all(each.size == sum(path.stat().st_size for path in each.files) for each in exported)


@pytest.mark.long
def test_a_name_with_a_dot_is_that_of_every_file_and_no_other_file_is_replaced(
    tmp_path: Path, checkpoint: Path
) -> None:
    earlier = [tmp_path / f"v1{suffix}" for suffix in (".onnx", ".xml", ".bin", ".safetensors")]
    for path in earlier:
        path.write_bytes(b"version 1")
    found = export(ExportRequest(checkpoint, (*BOTH, "safetensors"), "v1.2", threads=1), tmp_path)
    names = ["v1.2.onnx", "v1.2.xml", "v1.2.bin", "v1.2.safetensors"]
    assert [path.name for each in found for path in each.files] == names
    assert all((tmp_path / name).is_file() for name in (*names, "v1.2.json", "v1.2.md"))
    assert all(path.read_bytes() == b"version 1" for path in earlier)
    assert last.Recognizer(tmp_path / "v1.2.onnx", 1).classes == ("rise", "fall", "still")


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    "recording", random_recordings(25, 3, bodies=2)[:4], ids=lambda each: f"{each.shape[1]} frames"
)
def test_each_runtime_gives_the_logits_of_a_prepared_recording(
    recording: Array, number: int, checkpoint: Path, exported: list[Exported]
) -> None:
    model = last.load_checkpoint(checkpoint)
    with torch.no_grad():
        expected = model(*last.model_inputs(model, recording)).numpy()
    run = open_exported(exported[number].files[0], threads=1).run
    for _ in range(2):  # what a run gave stays as it is when the next one begins
        outputs = run(with_bodies(recording, 2))
        run(np.zeros((1, 2, 3, 25, 3), np.float32))
        np.testing.assert_allclose(outputs.logits, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(outputs.probabilities.sum(), 1.0, rtol=1e-5)


@pytest.mark.parametrize("number", [0, 1])
def test_each_runtime_takes_several_clips_at_once(number: int, exported: list[Exported]) -> None:
    run = open_exported(exported[number].files[0], threads=1).run
    clips = np.random.default_rng(0).normal(size=(3, 2, 30, 25, 3)).astype(np.float32)
    clips[1], clips[2, 1] = np.nan, 0.0
    together = run(clips)
    assert np.isnan(together.logits[1]).all() and np.isnan(together.probabilities[1]).all()
    for clip in (0, 2):
        for whole, alone in zip(together, run(clips[clip : clip + 1]), strict=True):
            np.testing.assert_allclose(whole[clip], alone[0], rtol=1e-4, atol=1e-5)


def test_the_onnx_file_is_one_file_with_a_fixed_opset_and_two_axes_of_any_size(exported: list[Exported]) -> None:
    model = onnx.load(exported[0].files[0], load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 18)]
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    axes = model.graph.input[0].type.tensor_type.shape.dim
    assert [each.dim_param or each.dim_value for each in axes] == ["clips", 2, "frames", 25, 3]
    assert [each.name for each in model.graph.output] == ["probabilities", "logits", "features"]
    assert not {"BatchNormalization", "Dropout"} & {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("number", [0, 1])
def test_a_file_that_was_edited_or_cut_short_is_refused(number: int, exported: list[Exported], tmp_path: Path) -> None:
    files = exported[number].files
    for path in files:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    edited = tmp_path / files[-1].name
    content = bytearray(edited.read_bytes())
    content[len(content) // 2] ^= 1
    edited.write_bytes(content)
    with pytest.raises(UserError, match="cut short"):
        open_exported(tmp_path / files[0].name)
    edited.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"cut short or edited|cannot be read by"):
        open_exported(tmp_path / files[0].name)


def test_the_facts_of_a_file_are_read_back(checkpoint: Path, exported: list[Exported]) -> None:
    model = last.load_checkpoint(checkpoint)
    for each in exported:
        facts = facts_from(open_exported(each.files[0]).metadata, each.files[0])
        assert facts.model == "nano_e, graph_subsets mirror, learned_adjacency, joint_embedding, stream_channels wide"
        assert (facts.layout, facts.classes) == (model.facts.layout, model.facts.classes)
        assert (facts.bodies, facts.frame_rate, facts.min_confidence) == (2, 0.0, 0.0)


def test_every_fact_is_read_back_as_it_is_described(folder: Path, exported: list[Exported]) -> None:
    described = json.loads((folder / "out" / "nano_e.json").read_text(encoding="utf-8"))
    read = dict(facts_from(open_exported(exported[0].files[0]).metadata, exported[0].files[0]).all)
    assert len(read.pop("content_sha256")) == 64 and described.pop("exported")
    assert {name: read[name] for name in described} == described


@pytest.mark.parametrize("name", ["2024", "1e3", "null", "true", "0", "[]"])
def test_names_that_look_like_other_values_stay_names(name: str, exported: list[Exported]) -> None:
    path = exported[0].files[0]
    named = dict.fromkeys(("dataset", "split", "background", "checkpoint", "compared"), name)
    facts = facts_from({**open_exported(path).metadata, **named}, path).all
    assert {each: facts[each] for each in named} == named


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({}, "was written by another program"),
        ({"checkpoint_sha256": "ab"}, "was written by an older version of LAST"),
        ({"format": FORMAT, "format_version": "99"}, r"has version '99' .* runs version 2"),
        ({"format": FORMAT, "format_version": "2", "content_sha256": "0"}, "its metadata cannot be read"),
        ({"format": FORMAT, "format_version": "2", "content_sha256": "0", "layout": "{}"}, "its layout is damaged"),
    ],
)
def test_a_file_of_another_program_or_version_is_refused(metadata: dict[str, str], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        facts_from(metadata, Path("model.onnx"))


def test_the_files_tell_what_a_user_needs(folder: Path, checkpoint: Path, exported: list[Exported]) -> None:
    facts = json.loads((folder / "out" / "nano_e.json").read_text(encoding="utf-8"))
    assert facts["classes"] == ["rise", "fall", "still"]
    assert facts["input"]["shape"] == ["clips", 2, "frames", 25, 3]
    assert facts["inside"]["normalize"]["scale"] == "unit"
    assert facts["outputs"] == {"probabilities": ["clips", 3], "logits": ["clips", 3], "features": ["clips", 8]}
    assert facts["compared"] == "8 random recordings"
    assert facts["checkpoint_sha256"] == file_checksum(checkpoint)
    assert facts["exported"][0]["files"] == {"nano_e.onnx": file_checksum(exported[0].files[0])}
    stored = {each.key: each.value for each in onnx.load(exported[0].files[0]).metadata_props}
    assert json.loads(stored["classes"]) == facts["classes"]
    assert stored["checkpoint_sha256"] == facts["checkpoint_sha256"]
    model = openvino.Core().read_model(exported[1].files[0])
    assert json.loads(model.get_rt_info(["last", "layout"]).astype(str))["name"] == "ntu25"


def test_no_path_of_the_machine_is_in_the_files(folder: Path, exported: list[Exported]) -> None:
    content = b"".join(path.read_bytes() for each in exported for path in each.files)
    assert str(Path(exporting.__file__).parents[1]).encode() not in content
    assert str(folder).encode() not in content


def test_averaged_weights_are_exported_unless_the_trained_ones_are_requested(
    tmp_path: Path, data_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = write_checkpoint(tmp_path / "last.pth", data_yaml, "nano_e", True)
    written = []
    monkeypatch.setattr(exporting, "write_onnx", lambda _path, network, *_: written.append(network.core))
    monkeypatch.setattr(exporting, "_checked", lambda *_: Exported("onnx", (), 0, 0.0, 0.0))
    for no_ema in (False, True):
        export(ExportRequest(checkpoint, ("onnx",), no_ema=no_ema), tmp_path / "out")
        facts = json.loads((tmp_path / "out" / "nano_e.json").read_text(encoding="utf-8"))
        assert facts["weights"] == ("trained" if no_ema else "averaged")
    content = read_checkpoint(checkpoint)
    for core, weights in zip(written, (content.weights, content.model), strict=True):
        assert torch.equal(core.network.classifier.weight, weights["classifier.weight"])


@pytest.mark.parametrize("wrong", [1.0, float("nan")])
def test_a_file_that_disagrees_is_not_left_behind(
    wrong: float, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "write_onnx", lambda path, *_: path.write_bytes(b"something"))
    answer = Outputs(*[np.full((1, 3), wrong, np.float32)] * 3)
    monkeypatch.setattr(exporting, "open_exported", lambda *_: Opened({}, lambda joints: answer))
    with pytest.raises(UserError, match=r"The onnx file has other logits than .*last\.pth.*Nothing was written"):
        export(ExportRequest(checkpoint, ("onnx",)), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.long
def test_a_teacher_is_exported_unchanged(tmp_path: Path, data_yaml: Path) -> None:
    one_stage = ["model.blocks=[1]", "model.channels=[16]", "model.temporal=[attention]"]
    checkpoint = write_checkpoint(tmp_path / "teacher.pth", data_yaml, "small", False, *one_stage)
    (found,) = export(ExportRequest(checkpoint, ("onnx",), threads=1), tmp_path / "out")
    assert found.files[0].name == "small.onnx" and found.difference < 1e-4


def test_files_are_compared_on_clips_of_the_data_set(calibrated_export: SharedExport) -> None:
    facts = json.loads(calibrated_export.model.with_suffix(".json").read_text(encoding="utf-8"))
    assert facts["compared"] == "4 clips of tiny"
    assert facts["input"]["shape"][1] == 2


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
    with pytest.raises(UserError, match=r"needs openvino, .*pip install 'last-har\[openvino\]'"):
        export(ExportRequest(checkpoint, BOTH), tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
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


@pytest.mark.parametrize("number", [0, 1])
def test_a_file_whose_ending_is_in_capitals_is_opened(number: int, exported: list[Exported], tmp_path: Path) -> None:
    first, *others = exported[number].files
    for path, name in ((first, f"MODEL{first.suffix.upper()}"), *((path, f"MODEL{path.suffix}") for path in others)):
        (tmp_path / name).write_bytes(path.read_bytes())
    assert last.Recognizer(tmp_path / f"MODEL{first.suffix.upper()}", 1).classes == ("rise", "fall", "still")


def test_a_file_of_one_body_is_compared_on_clips_of_two(tmp_path: Path, data_yaml: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "last.pth", data_yaml, "nano_e", False, "data.normalize.scale=unit")
    clips = [replace(clip, joints=clip.joints[::-1].copy(), frame_mask=clip.frame_mask[::-1].copy())
             for clip in open_store(data_yaml.parent / "data" / "tiny") if len(clip.joints) > 1]  # fmt: skip
    late = clips[0]
    late.frame_mask[0, :4], late.joints[0, :4] = False, 0.0  # frames in which the second body is alone
    (found,) = export(ExportRequest(checkpoint, ("onnx",), "mine", bodies=1, threads=1), tmp_path, clips=clips[:3])
    assert found.difference is not None and found.difference < 1e-4 and found.files[0].name == "mine.onnx"
    assert json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))["input"]["shape"][1] == 1


def test_a_later_export_in_another_format_keeps_the_description_of_the_earlier_one(
    tmp_path: Path, shared_export: SharedExport, caplog: pytest.LogCaptureFixture
) -> None:
    for path in shared_export.model.parent.glob("nano_e.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    export(ExportRequest(shared_export.checkpoint, ("safetensors",)), tmp_path)
    assert "earlier export" not in caplog.text
    facts = json.loads((tmp_path / "nano_e.json").read_text(encoding="utf-8"))
    assert [each["format"] for each in facts["exported"]] == ["onnx", "safetensors"]
    assert "last.Recognizer" in (tmp_path / "nano_e.md").read_text(encoding="utf-8")
    (tmp_path / "nano_e.onnx").write_bytes(b"another file")
    export(ExportRequest(shared_export.checkpoint, ("safetensors",)), tmp_path)
    facts = json.loads((tmp_path / "nano_e.json").read_text(encoding="utf-8"))
    assert [each["format"] for each in facts["exported"]] == ["safetensors"]


@pytest.mark.parametrize("difference", ["weights", "inside"])
def test_a_later_export_of_other_weights_or_another_preparation_does_not_describe_the_earlier_file(
    difference: str, tmp_path: Path, shared_export: SharedExport, caplog: pytest.LogCaptureFixture
) -> None:
    for path in shared_export.model.parent.glob("nano_e.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    description = tmp_path / "nano_e.json"
    if difference == "inside":
        facts = json.loads(description.read_text(encoding="utf-8"))
        facts["inside"]["frames without a body"] = "kept between others"
        description.write_text(json.dumps(facts), encoding="utf-8")
    no_ema = difference == "weights"
    export(ExportRequest(shared_export.checkpoint, ("safetensors",), no_ema=no_ema), tmp_path)
    facts = json.loads(description.read_text(encoding="utf-8"))
    assert facts["weights"] == ("trained" if no_ema else "averaged")
    assert [each["format"] for each in facts["exported"]] == ["safetensors"]
    assert "nano_e.onnx" not in (tmp_path / "nano_e.md").read_text(encoding="utf-8")
    assert f"In {tmp_path} there is nano_e.onnx, of an earlier export of another network" in caplog.text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"content_sha256": None}, "has no checksum"),
        ({"classes": '["a", "b"]'}, "there are 2 names for 3 classes"),
        ({"classes": '["a", "a", "b"]'}, "should be different names"),
        ({"classes": "junk"}, "should be different names"),
        ({"outputs": "3"}, "its metadata cannot be read"),
    ],
)
def test_edited_metadata_are_refused(changes: dict[str, str | None], reason: str, exported: list[Exported]) -> None:
    path = exported[0].files[0]
    metadata = {**open_exported(path).metadata, **changes}
    with pytest.raises(UserError, match=reason):
        facts_from({name: text for name, text in metadata.items() if text is not None}, path)


def test_clips_without_a_joint_of_enough_confidence_are_left_out_with_a_warning(
    tmp_path: Path, data_yaml: Path, shared_export: SharedExport, caplog: pytest.LogCaptureFixture
) -> None:
    clips = list(open_store(data_yaml.parent / "data" / "tiny"))
    low = np.full(clips[0].joints.shape[:3], 20, np.uint8)  # below the 0.3 of the training
    clips[0] = replace(clips[0], confidence=low)
    request = ExportRequest(shared_export.checkpoint, ("onnx",), threads=1)
    (found,) = export(request, tmp_path, clips=clips[:3], held_out=clips)
    assert (found.compared, found.calibrated) == (2, len(clips) - 1)
    facts = json.loads((tmp_path / "nano_e.json").read_text(encoding="utf-8"))
    assert facts["compared"] == "2 clips of tiny" and facts["calibration"]["clips"] == len(clips) - 1
    assert f"1 of {len(clips)} clips to calibrate the probabilities has no joint of at least the confidence 0.3" in (
        caplog.text
    )
    assert "1 of 3 clips to compare the files has no joint" in caplog.text


def test_a_run_whose_tests_average_samplings_is_exported_with_a_warning(
    tmp_path: Path, data_yaml: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ("data.sampling.method=uniform", "data.sampling.test_draws=4")
    checkpoint = write_checkpoint(tmp_path / "last.pth", data_yaml, "nano_e", False, *settings)
    export(ExportRequest(checkpoint, ("safetensors",)), tmp_path)
    said = "average the probabilities of 4 samplings of each clip"
    assert said in caplog.text and said in (tmp_path / "nano_e.md").read_text(encoding="utf-8")


def test_random_recordings_are_compared_if_no_clip_can_be_used(
    tmp_path: Path, data_yaml: Path, shared_export: SharedExport
) -> None:
    clip = open_store(data_yaml.parent / "data" / "tiny")[0]
    clip = replace(clip, confidence=np.full(clip.joints.shape[:3], 20, np.uint8))
    request = ExportRequest(shared_export.checkpoint, ("safetensors",))
    (found,) = export(request, tmp_path, clips=[clip], held_out=[clip])
    facts = json.loads((tmp_path / "nano_e.json").read_text(encoding="utf-8"))
    assert (found.compared, facts["compared"]) == (0, "8 random recordings")
    assert facts["calibration"]["clips"] == 0
