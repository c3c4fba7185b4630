"""An input stream is one file and a key of the model that reads it; training, evaluation and export derive it alike."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import TINY

import last
from last.data import open_store
from last.data.loading import added_streams
from last.data.loading.pipeline import InputPipeline
from last.data.loading.run_data import training_data
from last.models import families
from last.models.multi_body import STREAMS
from last.settings.run import RunConfig
from last.skeleton import load_layout
from last.utils.errors import UserError

MakeConfig = Callable[..., RunConfig]
READS = "model.added_streams.acceleration.scale=2"


@pytest.fixture(autouse=True)
def added(plug_in: Callable[[ModuleType, Path], None]) -> None:
    plug_in(added_streams, Path(__file__).with_name("acceleration.py"))


def test_the_stream_stands_beside_the_three_and_is_zero_where_there_is_no_body(tiny_config: MakeConfig) -> None:
    config = tiny_config(READS)
    data = training_data(config, open_store(Path(config.data_root) / "tiny"))
    batch = next(iter(data.loader))
    streams = data.pipeline(batch, training=False)
    assert tuple(streams) == (*STREAMS, "acceleration")
    joint, velocity = streams["joint"], streams["velocity"]
    twice = 2 * (velocity[:, :, 1:-1] - velocity[:, :, :-2])
    whole = batch.frame_mask.all(dim=(1, 2))
    assert whole.any()
    assert torch.equal(streams["acceleration"][whole][:, :, :-2], twice[whole])
    absent = ~batch.frame_mask.permute(0, 2, 1)[:, None, :, None, :].expand_as(joint)
    assert not streams["acceleration"][absent].any()
    assert tuple(InputPipeline(config.data)(batch, training=False)) == STREAMS


def test_a_stream_is_zero_in_frames_without_the_body_whatever_it_derives(
    plug_in: Callable[[ModuleType, Path], None], tmp_path: Path
) -> None:
    (tmp_path / "ones.py").write_text("def derive(streams, *_):\n    return streams['joint'] + 1\n")
    plug_in(added_streams, tmp_path / "ones.py")
    frame_mask = torch.tensor([[[True, False, True]]])  # (N, M, T)
    joints = {"joint": torch.zeros(1, 3, 3, 2, 1)}
    derived = added_streams.AddedStreams({"ones": {}})(joints, frame_mask, load_layout("ntu25"))["ones"]
    assert derived[0, 0, :, 0, 0].tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("model", ["nano_e", "small"])
def test_each_family_of_ours_reads_it(model: str) -> None:
    plain = last.create_model(model, num_classes=3)
    wider = last.create_model(model, num_classes=3, added_streams={"acceleration": {}})
    assert sum(each.numel() for each in wider.parameters()) > sum(each.numel() for each in plain.parameters())
    streams = {name: torch.randn(2, 3, 8, 25, 1) for name in wider.streams}
    with torch.no_grad():
        before = wider.eval()(streams)
        assert not torch.equal(before, wider({**streams, "acceleration": 2 * streams["acceleration"] + 1}))
    with pytest.raises(ValueError, match="joint, velocity, bone, acceleration, each a tensor"):
        wider({name: streams[name] for name in STREAMS})


@pytest.mark.long
def test_commands_train_evaluate_distil_and_export_a_model_that_reads_it(
    cli: Callable[..., Any], data_yaml: Path, tmp_path: Path
) -> None:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs")
    always = ("--model", "nano_e", "--dataset", data_yaml, "--epochs", 1, *roots)
    done = cli("train", *always, "--set", *TINY, READS)
    assert done.code == 0, done.err
    (run,) = (tmp_path / "runs").glob("run-*")
    assert cli("train", "--resume", run, *roots, "--set", "epochs=2").code == 0
    checkpoint = run / "checkpoints" / "last.pth"
    assert (
        cli("evaluate", "--checkpoint", checkpoint, "--statistics", "measured", "--out", tmp_path / "report").code == 0
    )
    exported = cli("export", "--checkpoint", checkpoint, "--format", "onnx", "--out", tmp_path / "files")
    assert exported.code == 0, exported.err
    model = last.load_checkpoint(checkpoint)
    streams, body_mask = last.model_inputs(model, open_store(data_yaml.parent / "data" / "tiny")[0])
    assert model(streams, body_mask).shape == (1, 3)
    refused = cli("distill", "--teacher", run, *always, "--set", *TINY)
    assert (refused.code, "model.added_streams: {'acceleration'" in refused.err) == (2, True)
    distilled = cli("distill", "--teacher", run, *always, "--set", *TINY, READS)
    assert distilled.code == 0, distilled.err


def test_a_teacher_of_three_streams_teaches_a_student_of_four(
    cli: Callable[..., Any], data_yaml: Path, tmp_path: Path, teacher: Path
) -> None:
    roots = ("--data_root", data_yaml.parent / "data", "--output_root", tmp_path / "runs")
    always = ("--model", "nano_e", "--dataset", data_yaml, "--epochs", 1, *roots)
    distilled = cli("distill", "--teacher", teacher, *always, "--set", *TINY, READS)
    assert distilled.code == 0, distilled.err


def test_a_family_that_reads_three_streams_alone_is_refused_another(
    plug_in: Callable[[ModuleType, Path], None],
) -> None:
    plug_in(families, Path(__file__).with_name("frame_mlp.py"))
    for streams in ({"added_streams": {"acceleration": {}}}, {"streams": ["bone"]}):
        with pytest.raises(UserError, match="family frame_mlp reads the streams joint, velocity, bone and no others"):
            last.create_model(Path(__file__).with_name("mlp_small.yaml"), **streams)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "model.added_streams.accelaration={}",
            "There is no input stream 'accelaration'. Did you mean 'acceleration'?",
        ),
        ("model.added_streams.acceleration.scal=1", "--set: model.added_streams.acceleration: scal: unknown key"),
        ("model.added_streams.acceleration.scale=0", "scale: 0 should be above 0"),
    ],
)
def test_an_unknown_name_or_setting_is_refused_before_anything_is_built(
    setting: str, message: str, tiny_config: MakeConfig
) -> None:
    with pytest.raises(UserError) as refused:
        tiny_config(setting)
    assert message in str(refused.value)
