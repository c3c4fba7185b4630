"""Missing joints have no part in the statistics of a model's input BatchNorms; everything else stays as it is."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from model_probes import opened, random_streams, settled
from torch import Tensor, nn

from last.models.batch_norm import normalise_measured
from last.models.classifier import BodyFeatures, SkeletonClassifier
from last.models.multi_body import STREAMS
from last.models.registry import create_model
from last.models.stream_masks import stream_masks
from last.skeleton import load_layout

CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def a_norm() -> nn.BatchNorm2d:
    torch.manual_seed(3)
    norm = nn.BatchNorm2d(3).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


def some_input(frames: int = 6) -> tuple[Tensor, Tensor]:
    """Return x (3, T, B, V) and which positions were measured (T, B, V)."""
    measured = torch.rand(frames, 4, 5) > 0.4
    return torch.where(measured, torch.randn(3, frames, 4, 5, dtype=torch.float64) * 2 + 7, 0.0), measured


def test_statistics_are_those_of_the_measured_positions_alone() -> None:
    ours, reference = a_norm(), a_norm()
    x, measured = some_input()
    found = normalise_measured(ours, x, measured)
    expected = reference(x[:, measured][None, :, :, None])[0, :, :, 0]
    (found[:, measured] ** 3).sum().backward()
    (expected**3).sum().backward()
    torch.testing.assert_close(found[:, measured], expected, **CLOSE)
    for one, other in zip([*ours.parameters()], [*reference.parameters()], strict=True):
        torch.testing.assert_close(one.grad, other.grad, **CLOSE)
    for one, other in zip(ours.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


def test_a_missing_position_becomes_what_a_zero_becomes() -> None:
    norm = a_norm()
    x, measured = some_input()
    found = normalise_measured(norm, x, measured)
    constants = found[:, ~measured]
    torch.testing.assert_close(constants, constants[:, :1].expand_as(constants), rtol=0, atol=0)


@pytest.mark.parametrize("count", [0, 1])
def test_a_batch_with_fewer_than_two_measured_positions_is_normalised_by_the_running_statistics(count: int) -> None:
    norm = a_norm()
    norm.running_mean.fill_(2.0)
    norm.running_var.fill_(9.0)
    x, measured = some_input()
    measured = torch.zeros_like(measured)
    measured.view(-1)[:count] = True
    found = normalise_measured(norm, x, measured)
    before = [each.clone() for each in (norm.running_mean, norm.running_var)]
    torch.testing.assert_close(found, norm.eval()(x[None].flatten(3))[0].view_as(x), **CLOSE)
    torch.testing.assert_close([norm.running_mean, norm.running_var], before, **CLOSE)
    assert torch.equal(norm.running_mean, torch.full((3,), 2.0, dtype=torch.float64))


def test_several_processes_share_the_statistics_of_all_their_measured_positions() -> None:
    parts = [some_input(frames) for frames in (2, 5, 3)]
    norms, alone = [a_norm() for _ in parts], a_norm()
    barrier, messages = Barrier(len(parts)), [torch.empty(0)] * len(parts)

    def learn(rank: int) -> Tensor:
        def all_reduce_sum(message: Tensor) -> None:
            messages[rank] = message.clone()
            barrier.wait()
            message.copy_(torch.stack(messages).sum(dim=0))
            barrier.wait()

        return normalise_measured(norms[rank], *parts[rank], all_reduce_sum)

    with ThreadPoolExecutor(len(parts)) as threads:
        found = torch.cat(list(threads.map(learn, range(len(parts)))), dim=1)
    together = [torch.cat(each, dim=dim) for each, dim in zip(zip(*parts, strict=True), (1, 0), strict=True)]
    torch.testing.assert_close(found, normalise_measured(alone, *together), **CLOSE)
    for norm in norms:
        torch.testing.assert_close([*norm.buffers()], [*alone.buffers()], **CLOSE)


def test_a_velocity_needs_two_frames_except_the_last_one_and_a_bone_two_joints() -> None:
    parents = torch.tensor([0, 0, 1])
    mask = torch.ones(1, 3, 3, dtype=torch.bool)
    mask[0, 1, 1] = False
    masks = stream_masks(mask, parents, (*STREAMS, "other"))
    assert masks["joint"] is masks["other"] is mask
    assert masks["velocity"][0].tolist() == [[True, False, True], [True, False, True], [True] * 3]
    assert masks["bone"][0].tolist() == [[True] * 3, [True, False, False], [True] * 3]


@pytest.mark.parametrize("name", ["nano_e", "small"])
def test_in_training_the_values_at_missing_joints_change_no_input_statistic(name: str) -> None:
    layout = load_layout("ntu25")
    model = create_model(name, num_classes=4)
    norms = [
        module for key, module in model.named_modules() if "input_norm" in key and isinstance(module, nn.BatchNorm2d)
    ]
    assert len(norms) == 3
    mask = torch.rand(3, 2, 8, 25) > 0.3
    streams = random_streams(clips=3)
    masks = stream_masks(mask.flatten(0, 1), torch.tensor(layout.parents), STREAMS)
    found = []
    for filler in (0.0, 100.0):
        state = {key: value.clone() for key, value in model.state_dict().items()}
        filled = {}
        for key, each in streams.items():
            there = masks[key].view(3, 2, 8, 25).permute(0, 2, 3, 1)[:, None]
            filled[key] = torch.where(there, each, filler)
        model.train()(filled, torch.ones(3, 2, dtype=torch.bool), joint_mask=mask)
        found.append([each.clone() for norm in norms for each in norm.buffers()])
        model.load_state_dict(state)
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("name", ["nano_e", "small"])
def test_evaluation_takes_no_notice_of_the_mask(name: str) -> None:
    model = settled(opened(create_model(name, num_classes=4)))
    streams, bodies = random_streams(), torch.ones(2, 2, dtype=torch.bool)
    with torch.no_grad():
        assert torch.equal(model(streams, bodies), model(streams, bodies, joint_mask=torch.rand(2, 2, 8, 25) > 0.5))


def test_a_mask_of_the_computed_bodies_is_that_of_their_slots() -> None:
    model = create_model("nano_e", num_classes=4)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    streams, bodies = random_streams(), torch.tensor([[True, True], [False, True]])
    mask = torch.rand(2, 2, 8, 25) > 0.3
    found = []
    for slots in (None, torch.tensor([0, 1, 3])):
        state = {key: value.clone() for key, value in model.state_dict().items()}
        found.append(model.train()(streams, bodies, slots, joint_mask=mask))
        model.load_state_dict(state)
    assert torch.equal(*found)


def test_a_family_without_masks_trains_on_missing_joints() -> None:
    class Plain(SkeletonClassifier):
        def __init__(self) -> None:
            super().__init__(load_layout("ntu25"), num_features=3)
            self.dropout, self.classifier = nn.Dropout(0.0), nn.Linear(3, 4)

        def body_features(self, streams):  # type: ignore[no-untyped-def, override]
            return BodyFeatures.of([streams["joint"].permute(1, 2, 0, 3)])

    bodies, mask = torch.ones(2, 2, dtype=torch.bool), torch.ones(2, 2, 8, 25, dtype=torch.bool)
    assert Plain()(random_streams(), bodies, joint_mask=mask).shape == (2, 4)
