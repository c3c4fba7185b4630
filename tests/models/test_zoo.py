"""What holds for every model that can be named, each built from its own YAML."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from model_probes import opened, random_streams, settled
from torch import Tensor, nn
from torch.export import Dim

import last
from last.models.multi_body import STREAMS
from last.skeleton import list_layouts, load_layout

PARAMETERS = {
    "nano_e": 92_358,
    "small_e": 177_646,
    "base_e": 363_958,
    "large_e": 644_094,
    "small": 4_802_904,
    "base": 9_261_696,
    "large": 14_078_430,
}
TEACHERS = {"small": 4.8e6, "base": 9.2e6, "large": 14e6}

# Tracing a whole model takes long. By default one model of each family, one block of each kind, stands for the others,
# whose blocks differ in width and number.
TWO_STAGES = {
    "nano_e": {"channels": [24, 96], "blocks": [1, 1], "attention": [False, True]},
    "small": {"channels": [64, 256], "blocks": [1, 1], "temporal": ["convolution", "attention"]},
}
TRACED = [
    *(pytest.param(name, sizes, id=name) for name, sizes in TWO_STAGES.items()),
    *(pytest.param(name, {}, id=f"whole {name}", marks=pytest.mark.slow) for name in PARAMETERS),
]


@pytest.fixture(scope="module", params=PARAMETERS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    """Return a model in evaluation; tests leave it as it is."""
    torch.manual_seed(0)
    return settled(opened(last.create_model(request.param, num_classes=5)))


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def test_the_zoo_is_what_the_command_line_lists() -> None:
    assert last.list_models() == list(PARAMETERS)


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_model_has_exactly_the_parameters_of_the_table(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = last.create_model(name, num_classes=60)
    assert sum(each.numel() for each in model.parameters()) == parameters


@pytest.mark.parametrize(("name", "size"), TEACHERS.items())
def test_teacher_is_within_two_percent_of_its_given_size(name: str, size: float) -> None:
    assert abs(PARAMETERS[name] / size - 1) < 0.02


@torch.no_grad()
@pytest.mark.parametrize("layout", list_layouts())
@pytest.mark.parametrize("name", ["nano_e", "small"])
def test_both_families_read_every_layout(name: str, layout: str) -> None:
    model = last.create_model(name, num_classes=7, layout=layout, blocks=[1, 1, 1]).eval()
    joints, coordinates = load_layout(layout).num_joints, load_layout(layout).coordinates
    streams = random_streams(joints=joints, coordinates=coordinates)
    assert model(streams).shape == (2, 7)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("clips", [1, 2])
def test_every_parameter_gets_a_gradient(name: str, clips: int) -> None:
    model = opened(last.create_model(name, num_classes=5)).double().train()
    model({key: stream.double() for key, stream in random_streams(clips, bodies=1).items()}).square().sum().backward()
    # A bias in front of a BatchNorm is taken away again by its mean; only rounding is left of its gradient.
    idle = {f"{path}.0.bias" for path, _ in model.named_modules() if path.endswith("residual")}
    idle |= {f"{path}.bias" for path, _ in model.named_modules() if path.endswith("input_norm")}
    silent = [
        path
        for path, each in model.named_parameters()
        if path not in idle and (each.grad is None or not each.grad.abs().max() > 1e-12)
    ]
    assert silent == []


@torch.no_grad()
def test_result_is_independent_of_batch_mates(model: nn.Module) -> None:
    streams = random_streams(clips=3)
    alone = {name: stream[:1] for name, stream in streams.items()}
    torch.testing.assert_close(model(streams)[:1], model(alone))


@torch.no_grad()
def test_result_is_independent_of_body_order(model: nn.Module) -> None:
    streams = random_streams()
    swapped = {name: stream.flip(4) for name, stream in streams.items()}
    torch.testing.assert_close(model(streams), model(swapped))


@torch.no_grad()
def test_what_an_absent_body_holds_does_not_matter(model: nn.Module) -> None:
    streams = random_streams(clips=1)
    valid = torch.tensor([[True, False]])
    expected = model({name: stream[..., :1] for name, stream in streams.items()})
    for garbage in (0.0, 1e6, torch.nan):
        for stream in streams.values():
            stream[..., 1] = garbage
        torch.testing.assert_close(model(streams, valid), expected)


@torch.no_grad()
def test_memory_layout_does_not_change_the_result(model: nn.Module) -> None:
    streams = random_streams()
    turned = copy.deepcopy(model).to(memory_format=torch.channels_last)
    torch.testing.assert_close(turned(streams), model(streams))


@torch.no_grad()
def test_half_precision_gives_nearly_the_same_result(model: nn.Module) -> None:
    streams = random_streams()
    expected = model(streams)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = model(streams)
    assert narrow.dtype == torch.bfloat16
    assert (narrow - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize(("name", "sizes"), TRACED)
def test_model_compiles_into_one_graph(name: str, sizes: dict[str, Any]) -> None:
    model = settled(opened(last.create_model(name, num_classes=5, **sizes)))
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    streams, valid = random_streams(), torch.tensor([[True, False], [True, True]])
    with torch.no_grad():
        torch.testing.assert_close(compiled(streams, valid), model(streams, valid))


@pytest.mark.long
@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize(("name", "sizes"), TRACED)
def test_exported_model_takes_any_number_of_clips(name: str, sizes: dict[str, Any]) -> None:
    model = settled(opened(last.create_model(name, num_classes=5, **sizes)))
    clips = Dim("clips", max=64)
    shapes = {"streams": {stream: {0: clips} for stream in STREAMS}, "body_mask": {0: clips}}
    program = torch.export.export(model, (), clips_of(2), dynamic_shapes=shapes).module()
    for number in (1, 2, 5):
        given = clips_of(number)
        with torch.no_grad():
            torch.testing.assert_close(program(**given), model(**given))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own compiler uses what torch deprecates
@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("name", ["nano_e", "small"])
def test_compiler_that_fuses_gives_the_same_result(name: str) -> None:
    model = settled(opened(last.create_model(name, num_classes=5)))
    streams = random_streams()
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(model, fullgraph=True)(streams), model(streams), rtol=1e-4, atol=1e-4)


def clips_of(number: int) -> dict[str, dict[str, Tensor] | Tensor]:
    """Return the arguments of a forward pass, in which the second body of the first clip is absent."""
    valid = torch.ones(number, 2, dtype=torch.bool)
    valid[0, 1] = False
    return {"streams": random_streams(number), "body_mask": valid}
