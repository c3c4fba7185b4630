"""The architecture switches of LAST-E, each against its plain form, and off by default."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from model_probes import opened
from torch import Tensor, nn
from torch.nn import functional

import last
from last.data.loading.streams import derive_streams
from last.models.last_e import DirectionalGCNConv, LastE
from last.models.multi_body import STREAMS
from last.models.plain import from_fused
from last.models.stream_masks import stream_masks
from last.models.wide_streams import WideStreams
from last.skeleton import Layout, adjacency_subsets, load_layout
from last.training.optim import split_for_decay
from last.utils.errors import UserError

EXACT = {"rtol": 0.0, "atol": 1e-10}
TINY = {"channels": [8, 12], "blocks": [1, 2], "attention": [False, True], "dropout": 0.0, "block_dropout": 0.0}
# 0 is the root: 0 <- 1 <- 2 and 0 <- 3 <- 4.
FORK = Layout(
    "fork",
    ("hip", "left", "left foot", "right", "right foot"),
    bones=((1, 0), (2, 1), (3, 0), (4, 3)),
    root=0,
    center=0,
    mirror=((1, 3), (2, 4)),
)

SWITCHES: dict[str, Any] = {
    "graph_subsets": ["mirror", "two_hops", "ends"],
    "learned_adjacency": True,
    "joint_embedding": True,
    "stream_channels": "wide",
}
each_switch = pytest.mark.parametrize("switch", SWITCHES)


def built(*switches: str, layout: str | Layout = "ntu25", **sizes: Any) -> LastE:
    """Return a tiny student in float64 with some switches on."""
    torch.manual_seed(0)
    chosen = {name: SWITCHES[name] for name in switches}
    model = last.create_model("nano_e", num_classes=4, layout=layout, **{**TINY, **chosen, **sizes}).double()
    assert isinstance(model, LastE)
    return model


def some_streams(layout: Layout, clips: int = 3, bodies: int = 1, frames: int = 8) -> dict[str, Tensor]:
    shape = (clips, layout.coordinates, frames, layout.num_joints, bodies)
    return {name: torch.randn(shape, dtype=torch.float64) for name in STREAMS}


def added_parameters(model: LastE, plain: LastE) -> set[str]:
    return {name for name, _ in model.named_parameters()} - {name for name, _ in plain.named_parameters()}


def shifted(model: LastE) -> LastE:
    """Change every parameter, so that nothing hides behind a zero."""
    with torch.no_grad():
        for parameter in opened(model).parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def copied(source: LastE, target: LastE) -> LastE:
    """Give `target` the tensors of `source` that it has too, and return it."""
    own = target.state_dict()
    target.load_state_dict({**own, **{name: each for name, each in source.state_dict().items() if name in own}})
    return target


def test_every_switch_is_off_by_default() -> None:
    model = last.create_model("nano_e")
    assert not [name for name in model.state_dict() if name.endswith(("added", "A_learned", "joint_embedding"))]
    assert model.fusion.stem.weight.shape[1] == 3


@each_switch
@pytest.mark.parametrize("layout", ["ntu25", "coco17_2d"])
def test_the_plain_form_gives_the_same_logits_and_gradients(switch: str, layout: str) -> None:
    model = shifted(built(switch, layout=layout))
    reference = from_fused(model)
    streams, bodies = some_streams(load_layout(layout)), torch.ones(3, 1, dtype=torch.bool)
    found = []
    for each in (model, reference):
        each.zero_grad()
        logits = each.train()(streams, bodies)
        functional.cross_entropy(logits, torch.arange(3)).backward()
        found.append({"logits": logits, **{name: parameter.grad for name, parameter in each.named_parameters()}})
    ours, theirs = found
    shared = {name for name in ours.keys() & theirs.keys() if ours[name].shape == theirs[name].shape}
    assert shared >= {"logits", "fusion.stem.weight", "classifier.weight"} | added_parameters(
        model, built(layout=layout)
    )
    for name in shared:
        assert ours[name].abs().max() > 0, name
        torch.testing.assert_close(ours[name], theirs[name], msg=lambda text, name=name: f"{name}: {text}", **EXACT)


@each_switch
def test_two_bodies_of_which_one_is_absent_give_what_the_plain_form_gives(switch: str) -> None:
    model = shifted(built(switch))
    streams = some_streams(load_layout("ntu25"), bodies=2)
    bodies = torch.tensor([[True, True], [True, False], [False, True]])
    with torch.no_grad():
        model.train()(streams, bodies)
        expected = from_fused(model.eval())(streams, bodies)
        torch.testing.assert_close(model(streams, bodies), expected, **EXACT)
        for each in streams.values():
            each[1, ..., 1] = torch.nan  # an absent body
        torch.testing.assert_close(model(streams, bodies), expected, **EXACT)


@each_switch
def test_the_added_parameters_do_not_decay_and_each_gets_a_gradient(switch: str) -> None:
    model = built(switch)
    free = {id(parameter) for parameter in split_for_decay(model)[1]}
    model(some_streams(load_layout("ntu25"))).square().sum().backward()
    for name in added_parameters(model, built()):
        parameter = model.get_parameter(name)
        assert id(parameter) in free, name
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@each_switch
def test_the_weights_of_a_switch_are_refused_without_it(switch: str) -> None:
    with pytest.raises(RuntimeError, match=r"Unexpected|size mismatch"):
        built().load_state_dict(built(switch).state_dict())


# --- the graph


def mixed_in_loops(layer: DirectionalGCNConv, x: Tensor) -> Tensor:
    """Mix joints term by term and project, (C, T, B, V) -> (C', T, B, V)."""
    alphas = [*layer.alpha, *([] if layer.alpha_added is None else layer.alpha_added)]
    total = sum(each.exp() for each in alphas)
    joints = range(x.shape[3])
    columns = []
    for target in joints:
        column = torch.zeros_like(x[..., 0])
        for alpha, adjacency in zip(alphas, layer.adjacency, strict=True):
            weight = (alpha.exp() / total)[:, None, None]
            for source in joints:
                column = column + weight * adjacency[source, target] * x[..., source]
        if layer.A_learned is not None:
            for source in joints:
                column = column + layer.A_learned[source, target] * x[..., source]
        columns.append(column)
    return torch.einsum("oc,ctbv->otbv", layer.project.weight[:, :, 0, 0], torch.stack(columns, dim=3))


@pytest.mark.parametrize(
    ("added", "learned"), [([], False), (["mirror"], False), (["ends", "two_hops"], True), ([], True)]
)
def test_joints_are_mixed_as_the_loops_do_it(added: Sequence[str], learned: bool) -> None:
    torch.manual_seed(1)
    layer = opened(DirectionalGCNConv(torch.from_numpy(adjacency_subsets(FORK, added)), 3, 4, learned)).double()
    x = torch.randn(3, 2, 2, 5, dtype=torch.float64)
    given = [x.clone().requires_grad_() for _ in range(2)]
    weights, found = torch.randn(4, 2, 2, 5, dtype=torch.float64), []
    for mix, each in zip((layer, lambda x: mixed_in_loops(layer, x)), given, strict=True):
        layer.zero_grad()
        result = mix(each)
        (result * weights).sum().backward()
        found.append([result, each.grad, *(parameter.grad for parameter in layer.parameters())])
    for ours, theirs in zip(*found, strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, **EXACT)


def test_added_subsets_of_no_weight_leave_the_model_as_it_is() -> None:
    plain, model = built(), built("graph_subsets")
    copied(shifted(plain), model)
    for block in model.blocks:
        nn.init.constant_(block.spatial.alpha_added, -1e6)
    streams = some_streams(load_layout("ntu25"))
    torch.testing.assert_close(model(streams), plain(streams), **EXACT)


@pytest.mark.parametrize("switch", ["learned_adjacency", "joint_embedding"])
@pytest.mark.parametrize("training", [True, False])
def test_a_new_model_with_a_switch_that_starts_at_zero_is_the_plain_one_to_the_bit(switch: str, training: bool) -> None:
    plain, model = built().train(training), built(switch).train(training)
    assert added_parameters(model, plain)
    assert all(torch.equal(each, model.state_dict()[name]) for name, each in plain.state_dict().items())
    streams = some_streams(load_layout("ntu25"))
    assert torch.equal(model(streams), plain(streams))


def test_an_added_subset_starts_with_a_small_weight_and_the_others_with_equal_ones() -> None:
    layer = built(graph_subsets=["mirror"]).blocks[0].spatial
    weights = torch.cat([layer.alpha, layer.alpha_added]).softmax(dim=0)
    assert weights[:3].std() < 1e-12
    assert ((weights[3] > 0.04) & (weights[3] < 0.05)).all()


def test_a_layout_without_the_links_of_a_subset_is_refused() -> None:
    with pytest.raises(UserError, match="hand21 has no mirrored pairs of joints: leave `mirror` out of"):
        built("graph_subsets", layout="hand21")
    assert built(layout="hand21", graph_subsets=["ends", "two_hops"])


@pytest.mark.parametrize(
    ("names", "problem"),
    [(["mirror", "mirror"], "each subset once"), (["three_hops"], "graph_subsets.*'three_hops'"), ("mirror", "list")],
)
def test_names_of_subsets_that_are_none_are_refused(names: object, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        last.create_model("nano_e", graph_subsets=names)


# --- the embedding of joints


@pytest.mark.parametrize("missing", [False, True])
def test_the_embedding_of_a_joint_is_added_to_all_of_its_features(missing: bool) -> None:
    torch.manual_seed(2)
    fusion = shifted(built("joint_embedding")).fusion
    streams = {name: each[..., 0] for name, each in some_streams(load_layout("ntu25"), frames=4).items()}
    masks = {name: torch.rand(3, 4, 25) > 0.4 for name in STREAMS} if missing else {}
    streams = {name: each * masks[name][:, None] if missing else each for name, each in streams.items()}
    with torch.no_grad():
        added = fusion(streams, masks) - fusion.blended(streams, masks)  # (C, T, B, V)
    for channel in range(8):
        for joint in range(25):
            expected = fusion.joint_embedding[channel, joint].expand(4, 3)
            torch.testing.assert_close(added[channel, :, :, joint], expected, **EXACT)


def test_the_gradient_of_an_embedding_is_the_sum_over_frames_and_bodies() -> None:
    fusion = built("joint_embedding").fusion
    streams = {name: each[..., 0] for name, each in some_streams(load_layout("ntu25"), frames=4).items()}
    weights = torch.randn(8, 4, 3, 25, dtype=torch.float64)
    (fusion(streams) * weights).sum().backward()
    expected = torch.zeros_like(fusion.joint_embedding)
    for frame in range(4):
        for body in range(3):
            expected = expected + weights[:, frame, body]
    torch.testing.assert_close(fusion.joint_embedding.grad, expected, **EXACT)


# --- wide streams


@pytest.mark.parametrize("training", [True, False])
def test_wide_streams_whose_added_channels_have_no_weight_leave_the_model_as_it_is(training: bool) -> None:
    plain, model = shifted(built()).train(training), built("stream_channels").train(training)
    own = model.state_dict()
    for name, each in plain.state_dict().items():
        if own[name].shape == each.shape:
            own[name].copy_(each)
        else:  # the input BatchNorms and the stem
            own[name][tuple(map(slice, each.shape))] = each
    own["fusion.stem.weight"][:, 3:] = 0
    streams = some_streams(load_layout("ntu25"))
    torch.testing.assert_close(model(streams), plain(streams), **EXACT)


@pytest.mark.parametrize("hooked", [False, True])
def test_missing_joints_have_no_part_in_the_statistics_of_any_of_the_six_channels(hooked: bool) -> None:
    layout = load_layout("ntu25")
    model = built("stream_channels")
    if hooked:  # then layer by layer, as on a GPU
        model.fusion.stem.register_forward_hook(lambda *_: None)
    joint_mask = torch.rand(3, 2, 8, 25) > 0.3
    joints = some_streams(layout, bodies=2)["joint"]
    streams = derive_streams(joints, joint_mask, layout)
    model(streams, torch.ones(3, 2, dtype=torch.bool), joint_mask=joint_mask)
    masks = stream_masks(joint_mask.flatten(0, 1), torch.tensor(layout.parents), STREAMS)
    folded = {name: each.permute(0, 4, 1, 2, 3).flatten(0, 1) for name, each in streams.items()}
    wide, masks = WideStreams(layout)(folded, masks)
    for name, norm in model.fusion.input_norms.items():
        there = wide[name].movedim(1, 3)[masks[name]]  # (measured, 6)
        torch.testing.assert_close(norm.running_mean, 0.1 * there.mean(dim=0), **EXACT)
        torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * there.var(dim=0), **EXACT)


@pytest.mark.parametrize(
    ("other", "remedy"),
    [
        ({"added_streams": {"acceleration": {}}}, "model.added_streams={}."),
        ({"streams": ["joint", "bone"]}, "model.streams=[joint,velocity,bone]."),
    ],
    ids=str,
)
def test_other_streams_than_the_three_have_no_wide_channels(other: dict[str, object], remedy: str) -> None:
    message = "stream_channels: wide channels are those of joint, velocity, bone, and the model reads"
    with pytest.raises(UserError, match=message) as refused:
        built("stream_channels", **other)
    assert str(refused.value).endswith(f"Set model.stream_channels=plain, or {remedy}")
