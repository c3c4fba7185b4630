"""docs/models.md is true: its tables are those of the models, its shapes those that a forward pass shows."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

import last
from last.models.cost import Workload, count_multiply_adds, random_streams
from last.models.last_e import LastEConfig
from last.models.multi_body import STREAMS
from last.models.registry import count_parameters
from last.settings.model import switches_of

DOCUMENT = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
STEPS = dict(re.findall(r"^`(\w+)`, with .*?:\n\n```\n(.*?)```", DOCUMENT, re.M | re.S))
BODIES = 2


def table() -> dict[str, tuple[str, ...]]:
    """Return the cells of each model's row but its name."""
    rows = re.findall(r"^\| `(\w+)` \| (.* \| [\d,]{6,}) \|$", DOCUMENT, re.MULTILINE)
    return {name: tuple(cells.split(" | ")) for name, cells in rows}


def test_the_tables_have_every_model() -> None:
    assert list(table()) == last.list_models()


@pytest.mark.parametrize("name", last.list_models())
def test_a_row_has_channels_blocks_features_and_parameters(name: str) -> None:
    model = last.create_model(name)
    blocks = (model.blocks if hasattr(model, "blocks") else model.backbones["joint"].blocks).children()
    widths = [block.norm.num_features for block in blocks]
    channels = list(dict.fromkeys(widths))
    cells = table()[name]
    assert cells[0] == " ".join(map(str, channels))
    assert cells[1] == " ".join(str(widths.count(width)) for width in channels)
    assert cells[-2] == str(model.num_features)
    assert cells[-1] == f"{sum(parameter.numel() for parameter in model.parameters()):,}"


def rows_of_switches() -> dict[str, list[str]]:
    """Return the figures of each row of the table of switches, by what is switched on."""
    head = re.search(r"^\| switch, with .*\n(?:\|.*\n)+", DOCUMENT, re.M)
    assert head
    rows = [line.strip("| ").split(" | ") for line in head[0].splitlines()[2:]]
    return {name.strip("`"): figures for name, *figures in rows}


def settings_in(rows: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the keys of the model that each row sets; `all` sets the last value of each switch."""
    pairs = [row.split("=") for row in rows if "=" in row]
    each = {"=".join(pair): {pair[0]: yaml.safe_load(pair[1])} for pair in pairs}
    return {"none": {}, **each, "all": {name: value for row in each.values() for name, value in row.items()}}


def test_the_figures_of_every_switch_are_those_of_the_table() -> None:
    rows = rows_of_switches()
    chosen = settings_in(rows)
    assert chosen.keys() == rows.keys() and chosen["all"].keys() == {*switches_of(LastEConfig)}
    for row, (ntu, ucla, multiply_adds, _) in rows.items():
        model = last.create_model("nano_e", **chosen[row]).eval()
        with torch.no_grad():
            millions = count_multiply_adds(model, random_streams(Workload())) / 1e6
        small = last.create_model("nano_e", num_classes=10, layout="kinect20", **chosen[row])
        figures = f"{count_parameters(model):,}", f"{count_parameters(small):,}", f"{millions:.1f} M"
        assert figures == (ntu, ucla, multiply_adds), row


def shapes_of_a_forward_pass(model: nn.Module) -> set[tuple[int, ...]]:
    """Return the shape of every tensor that goes into or out of a part of `model`, for one clip of two bodies."""
    seen: set[tuple[int, ...]] = set()

    def look(*values: Any) -> None:
        for value in values:
            if isinstance(value, Tensor):
                seen.add(tuple(value.shape))
            elif isinstance(value, dict):
                look(*value.values())
            elif isinstance(value, tuple | list):
                look(*value)

    for module in model.modules():
        module.register_forward_hook(lambda _module, inputs, output: look(*inputs, output))
    streams = {stream: torch.randn(1, 3, 64, 25, BODIES) for stream in STREAMS}
    look(model.body_features({stream: value.squeeze(0).permute(3, 0, 1, 2) for stream, value in streams.items()}))
    model(streams)
    return seen


@pytest.mark.parametrize("name", ["nano_e", "small"])
def test_the_shapes_of_the_picture_are_those_of_a_forward_pass(name: str) -> None:
    with torch.no_grad():
        seen = shapes_of_a_forward_pass(last.create_model(name).eval())
    shown = re.findall(r"\(((?:\d+, )*[BN](?:, \d+)+)\)", STEPS[name])
    assert len(shown) >= 6
    for sizes in shown:
        assert tuple({"B": BODIES, "N": 1}.get(size) or int(size) for size in sizes.split(", ")) in seen


def test_a_size_of_ones_own_goes_through_the_commands(
    cli: Callable[..., Any], data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.M | re.S)
    (name,) = set(re.findall(r"my_models/\w+\.yaml", DOCUMENT))
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(text)
    always = ("--dataset", data_yaml, "--data_root", data_yaml.parent / "data", "--batch_size", 4)
    always = (*always, "--set", "input_frames=8", "tensorboard=false")
    assert "tiny_e on tiny xsub" in cli("train", "--model", name, *always, "--epochs", 1).out
    (run,) = (tmp_path / "runs").glob("run-*")
    distilled = cli("distill", "--teacher", run, "--model", name, *always, "--epochs", 1)
    assert distilled.code == 0 and last.load_checkpoint(next((tmp_path / "runs").glob("run-*_2/*/last.pth")))
    assert last.create_model(name, num_classes=3).facts.name == "tiny_e"
    (tmp_path / name).unlink()
    assert cli("train", "--resume", run, "--set", "epochs=2").code == 0
    assert cli("evaluate", "--checkpoint", run / "checkpoints" / "last.pth").code == 0
