"""LAST-v2 against plain references of its mathematics, and how it starts to learn."""

from itertools import pairwise

import pytest
import torch
from model_probes import opened, random_streams, settled
from torch import Tensor, nn
from torch.nn import functional

import last
from last.models.channel_major import channels_first
from last.models.cost import count_multiply_adds
from last.models.last_v2 import AdaptiveGCNConv, LastV2Config, LinearAttentionTCN, linear_attention
from last.models.multi_body import STREAMS
from last.settings.run import RunConfig
from last.skeleton import adjacency_subsets, load_layout
from last.training.optim import build_optimizer, split_for_decay
from last.utils.errors import UserError

PHYSICAL = torch.from_numpy(adjacency_subsets(load_layout("ntu25")))
TINY = {"channels": [8, 16, 32], "blocks": [1, 1, 1], "heads": 4}


def through(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer whose features are (C, T, B, V) to (B, C, T, V), and return the same order."""
    return layer(channels_first(x)).permute(2, 0, 1, 3)


def similarity_of(layer: AdaptiveGCNConv, x: Tensor) -> Tensor:
    """Compare joints one pair at a time."""
    similarity = layer.similarity
    projected = similarity.norm(similarity.project(x.mean(dim=2, keepdim=True)))[:, :, 0]  # (B, C / reduction, V)
    cosines = [
        functional.cosine_similarity(projected[:, :, source, None], projected, dim=1)
        for source in range(projected.shape[2])
    ]
    return functional.softmax(torch.stack(cosines, dim=1) / similarity.temperature, dim=1)


def quadratic_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Weigh every frame for every frame, as the definition has it; all are (H, E, T, B, V)."""
    queries, keys = functional.elu(queries) + 1, functional.elu(keys) + 1
    weights = torch.einsum("hetbv,hesbv->htsbv", queries, keys)
    weights = weights / weights.sum(dim=2, keepdim=True)
    return torch.einsum("htsbv,hesbv->hetbv", weights, values)


def test_graph_convolution_equals_a_projection_for_each_adjacency() -> None:
    layer = opened(AdaptiveGCNConv(PHYSICAL, 6, 10, LastV2Config())).double().eval()
    nn.init.normal_(layer.similarity.norm.running_mean)
    x = torch.randn(2, 6, 5, 25, dtype=torch.float64)
    own = layer.alpha * similarity_of(layer, x)
    adjacencies = [*layer.adjacency, layer.A_learned, own]
    weights = layer.project.weight[:, :, 0, 0].chunk(len(adjacencies))
    expected = sum(
        torch.einsum("oc,bctv->botv", weight, x @ (adjacency if adjacency.dim() == 2 else adjacency[:, None]))
        for weight, adjacency in zip(weights, adjacencies, strict=True)
    )
    torch.testing.assert_close(through(layer, x), expected)


def test_new_graph_convolution_uses_the_physical_adjacencies_alone() -> None:
    layer = AdaptiveGCNConv(PHYSICAL, 6, 10, LastV2Config())
    assert not layer.A_learned.any()
    assert not layer.own_adjacency(torch.randn(6, 5, 2, 25)).any()


def test_joints_take_a_whole_share_from_all_joints() -> None:
    layer = AdaptiveGCNConv(PHYSICAL, 6, 10, LastV2Config())
    shares = layer.similarity(torch.randn(6, 5, 2, 25))
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2, 25))


def test_joints_without_features_are_compared_without_nan() -> None:
    layer = AdaptiveGCNConv(PHYSICAL, 6, 10, LastV2Config()).eval()
    x = torch.zeros(6, 5, 1, 25, requires_grad=True)
    shares = layer.similarity(x)
    torch.testing.assert_close(shares, torch.full((1, 25, 25), 1 / 25))
    shares.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("query_frames", [12, 6])
def test_linear_attention_equals_quadratic_attention(query_frames: int) -> None:
    queries = 3 * torch.randn(2, 4, query_frames, 2, 5, dtype=torch.float64)
    keys, values = 3 * torch.randn(2, 2, 4, 12, 2, 5, dtype=torch.float64)
    torch.testing.assert_close(linear_attention(queries, keys, values), quadratic_attention(queries, keys, values))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_linear_attention_stays_finite_in_half_precision(dtype: torch.dtype) -> None:
    queries, keys, values = 300 * torch.randn(3, 2, 32, 64, 1, 5)
    narrow = linear_attention(queries.to(dtype), keys.to(dtype), values.to(dtype))
    assert narrow.dtype == dtype
    torch.testing.assert_close(narrow.float(), linear_attention(queries, keys, values), rtol=0.05, atol=10.0)


def test_linear_attention_without_any_match_gives_zeros() -> None:
    values = torch.randn(1, 4, 6, 1, 5)
    nothing = torch.full_like(values, -1e4)  # the kernel makes zeros of it
    torch.testing.assert_close(linear_attention(nothing, nothing, values), torch.zeros_like(values))


def test_attention_layer_is_attention_plus_filtered_values_projected() -> None:
    layer = LinearAttentionTCN(8, stride=2, config=LastV2Config(heads=2)).double().eval()
    x = torch.randn(2, 8, 12, 5, dtype=torch.float64)
    keys, values = (functional.conv2d(x, weight) for weight in layer.keys_values.weight.chunk(2))
    queries = functional.conv2d(x[:, :, ::2], layer.queries.weight)
    heads = [
        quadratic_attention(*(channels_first(each)[None, part] for each in (queries, keys, values)))[0]
        for part in (slice(0, 4), slice(4, 8))
    ]
    filtered = functional.conv2d(values, layer.depthwise.weight, stride=(2, 1), padding=(4, 0), groups=8)
    expected = layer.norm(layer.pointwise(torch.cat(heads).permute(2, 0, 1, 3) + filtered))
    torch.testing.assert_close(through(layer, x), expected)


def test_attention_layer_sees_the_order_of_frames() -> None:
    layer = LinearAttentionTCN(8, stride=1, config=LastV2Config(heads=2)).eval()
    x = torch.randn(1, 8, 12, 5)
    pooled, reversed_pooled = (through(layer, each).mean(dim=2) for each in (x, x.flip(2)))
    assert not torch.allclose(pooled, reversed_pooled, atol=1e-3)


def test_logits_are_the_sum_of_a_head_a_stream() -> None:
    model = settled(opened(last.create_model("small", num_classes=5, **TINY)))
    streams = random_streams(bodies=1)
    heads = dict(zip(STREAMS, model.classifier.weight.chunk(3, dim=1), strict=True))
    expected = model.classifier.bias + sum(
        functional.linear(model.backbones[name](streams[name][..., 0]).features, heads[name]) for name in STREAMS
    )
    torch.testing.assert_close(model(streams), expected)


def test_features_of_the_streams_stand_side_by_side() -> None:
    model = settled(last.create_model("small", blocks=[1, 1, 1]))
    streams = random_streams()
    changed = {**streams, "velocity": torch.randn(streams["velocity"].shape)}
    same = model.forward_features(streams) == model.forward_features(changed)
    assert model.num_features == 768
    assert same[:, :256].all()
    assert not same[:, 256:512].all()
    assert same[:, 512:].all()


def test_decay_leaves_the_adaptive_adjacencies_and_their_gates_alone() -> None:
    model = last.create_model("small", **TINY)
    decayed, free = ({id(each) for each in group} for group in split_for_decay(model))
    for name, parameter in model.named_parameters():
        structural = name.endswith(("A_learned", "alpha", "bias")) or "norm" in name
        if name.endswith(("project.weight", "pointwise.weight", "queries.weight", "stem.weight")):
            assert id(parameter) in decayed, name
        if structural:
            assert id(parameter) in free, name


def test_physical_adjacency_is_no_part_of_a_checkpoint() -> None:
    assert not [name for name in last.create_model("small", **TINY).state_dict() if name.endswith("adjacency")]


@pytest.mark.parametrize("amp", [False, True])
def test_new_model_learns_eight_clips_without_a_setback(amp: bool) -> None:
    model = last.create_model("small", num_classes=3, dropout=0.0, block_dropout=0.0, **TINY).train()
    optimizer = build_optimizer(model, RunConfig().optimization)
    streams, labels = random_streams(8, bodies=1), torch.arange(8) % 3
    losses = []
    for _ in range(12):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp):
            logits = model(streams)
        loss = functional.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert all(later < earlier for earlier, later in pairwise(losses))
    assert losses[-1] < 0.8 * losses[0]


class OneStream(nn.Module):
    """Feed a module with features instead of streams, to count what it costs."""

    def __init__(self, inner: nn.Module, channels: int) -> None:
        super().__init__()
        self.inner, self.channels = inner, channels

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        joint = channels_first(streams["joint"][..., 0])
        return self.inner(joint[:1].repeat(self.channels, 1, 1, 1))


@pytest.mark.parametrize(("stage", "width"), [(0, 64), (3, 256)])
def test_multiply_adds_of_a_block_equal_the_hand_count(stage: int, width: int) -> None:
    block = last.create_model("small", blocks=[1, 1, 2]).backbones["joint"].blocks[stage].eval()
    frames, joints, adjacencies, kernel, head, compared = 16, 25, 5, 9, width // 16, width // 8
    places = frames * joints
    compare = width * compared * joints + compared * joints * joints
    mix_joints = adjacencies * width * joints * places + adjacencies * width * width * places
    weigh = 2 * width * (width // 4) * (frames + joints)
    separable = kernel * width * places + width * width * places
    attend = 3 * width * width * places + 2 * width * head * places  # queries, keys, values; two products a head
    expected = compare + mix_joints + weigh + separable + (attend if width == 256 else 0)
    assert count_multiply_adds(OneStream(block, width), random_streams(1, frames, joints, bodies=1)) == expected


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"heads": 7}, "heads: 7 should divide the 256 channels"),
        ({"kernel_frames": 8}, "kernel_frames: 8 should be odd"),
        ({"blocks": [1, 2]}, "channels has 3, blocks has 2, temporal has 3"),
        ({"blocks": [1, 0, 2]}, "at least 1"),
        ({"temporal": ["convolution", "convolution", "transformer"]}, "one of convolution, attention"),
    ],
)
def test_sizes_that_make_no_network_are_refused(sizes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        last.create_model("small", **sizes)


def test_recomputing_features_changes_neither_gradients_nor_statistics() -> None:
    streams = {name: torch.randn(2, 3, 16, 25, 1) for name in ("joint", "velocity", "bone")}
    found = []
    for recompute in (False, True):
        torch.manual_seed(0)
        sizes = {"channels": [8, 8, 16], "blocks": [1, 1, 2], "heads": 4, "block_dropout": 0.5}
        model = last.create_model("small", num_classes=5, recompute=recompute, **sizes).train()
        model(streams).square().sum().backward()
        gradients = {name: each.grad for name, each in model.named_parameters()}
        found.append(gradients | dict(model.named_buffers()))
    kept, recomputed = found
    assert kept.keys() == recomputed.keys()
    for name, value in kept.items():
        torch.testing.assert_close(recomputed[name], value, msg=name)
