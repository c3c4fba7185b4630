"""The folded network against the model that it was folded from."""

import pytest
import torch
from torch import Tensor, nn

import last
from last.data.loading.missing import fill_gaps
from last.deploy.fused import Limits
from last.deploy.network import FoldedCore, PlainCore
from last.models.last_e import LastE
from last.settings.data import DataConfig, NormalizeConfig
from last.skeleton import load_layout

STUDENTS = ["nano_e", "small_e", "base_e", "large_e"]
TINY = {"channels": [8, 12, 16], "blocks": [1, 2, 1], "attention": [True, False, True]}
EXACT = {"rtol": 0.0, "atol": 1e-10}


def trained(name: str = "nano_e", layout: str = "ntu25", **sizes: object) -> LastE:
    """Return a model in float64 in which no weight, gate or statistic is as a new model has it."""
    model = last.create_model(name, num_classes=5, layout=layout, **sizes).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
        for norm in (each for each in model.modules() if isinstance(each, nn.BatchNorm2d)):
            norm.running_mean.normal_(std=0.3)
            norm.running_var.uniform_(0.5, 2.0)
            norm.weight[::3] *= -1  # a scale may become negative
    return model


def clips(frames: int = 64, bodies: int = 1, joints: int = 25) -> Tensor:
    return torch.randn(2, 3, frames, joints, bodies, dtype=torch.float64)


def with_mask(joints: Tensor, max_gap: int = 5) -> tuple[Tensor, Tensor]:
    """Return joints (N, C, T, V, M) as a core takes them, and which were measured: NaN and bodies of zeros were not."""
    missing = joints.isnan().any(dim=1)  # (N, T, V, M)
    joints = torch.where(missing[:, None], 0.0, joints)
    present = (joints.abs().amax(dim=(1, 3)) > 0) | missing.any(dim=2)  # (N, T, M)
    return fill_gaps(joints, (~missing & present[:, :, None]).permute(0, 3, 1, 2), max_gap)


@torch.no_grad()
def model_logits(model: LastE, data: DataConfig, joints: Tensor) -> Tensor:
    logits: Tensor = PlainCore(model, data)(*with_mask(joints, data.max_gap))[0]
    return logits


@torch.no_grad()
def folded_logits(model: LastE, data: DataConfig, joints: Tensor) -> Tensor:
    logits: Tensor = FoldedCore(model, data, joints.shape[2])(*with_mask(joints, data.max_gap))[0]
    return logits


def assert_equal(model: LastE, data: DataConfig, joints: Tensor) -> None:
    expected = model_logits(model, data, joints)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(folded_logits(model, data, joints), expected, **EXACT)


@pytest.mark.parametrize("name", STUDENTS)
def test_folded_network_gives_the_logits_of_the_model(name: str) -> None:
    assert_equal(trained(name), DataConfig(), clips())


@pytest.mark.parametrize("frames", [4, 7, 33])
def test_any_number_of_frames_is_filtered_alike_as_a_product_and_as_a_convolution(frames: int) -> None:
    assert_equal(trained(**TINY), DataConfig(), clips(frames))


@pytest.mark.parametrize("dilations", [[1], [2, 5], [1, 2, 3, 4]])
def test_any_number_of_temporal_branches_is_folded(dilations: list[int]) -> None:
    assert_equal(trained(**{**TINY, "channels": [24, 24, 24]}, dilations=dilations), DataConfig(), clips(16))


SWITCHES: dict[str, object] = {
    "graph_subsets": ["mirror", "two_hops", "ends"],
    "learned_adjacency": True,
    "joint_embedding": True,
    "stream_channels": "wide",
}


@pytest.mark.parametrize("switches", [*([name] for name in SWITCHES), [*SWITCHES]], ids=str)
@pytest.mark.parametrize("layout", ["ntu25", "coco17_2d"])
def test_switches_of_the_architecture_are_folded(switches: list[str], layout: str) -> None:
    sizes = load_layout(layout)
    joints = torch.randn(2, sizes.coordinates, 12, sizes.num_joints, 2, dtype=torch.float64)
    joints = with_missing_joints(joints)
    joints[1, ..., 1] = 0
    chosen = {name: SWITCHES[name] for name in switches}
    model, data = trained(layout=layout, **TINY, **chosen), DataConfig(layout=layout)
    for frames in (12, 2, 1):
        assert_equal(model, data, joints[:, :, :frames])


@pytest.mark.parametrize("streams", [["joint"], ["velocity"], ["bone"], ["joint", "bone"]])
def test_a_model_of_some_streams_is_folded(streams: list[str]) -> None:
    joints = clips(12, bodies=2)
    joints[0, :, 3:5, 4] = torch.nan
    assert_equal(trained(**TINY, streams=streams), DataConfig(), joints)


def test_every_layout_is_folded() -> None:
    assert_equal(trained(layout="sbu15", **TINY), DataConfig(layout="sbu15"), clips(12, joints=15))


def with_missing_joints(joints: Tensor, share: float = 0.3) -> Tensor:
    missing = torch.rand(joints.shape[0], *joints.shape[2:]) < share
    return torch.where(missing[:, None], torch.nan, joints)


@pytest.mark.parametrize("max_gap", [0, 5])
@pytest.mark.parametrize("normalize", [NormalizeConfig(), NormalizeConfig(face_camera=True, scale="unit")])
def test_missing_joints_are_treated_alike(normalize: NormalizeConfig, max_gap: int) -> None:
    joints = with_missing_joints(clips(12, bodies=2).float())
    joints[0, :, 3:5] = torch.nan  # frames without a body
    joints[1, ..., 1] = 0
    model, data = trained(**TINY).float(), DataConfig(normalize=normalize, max_gap=max_gap)
    expected = model_logits(model, data, joints)
    assert expected.isfinite().all()
    torch.testing.assert_close(folded_logits(model, data, joints), expected)
    whole = model_logits(model, data, joints.nan_to_num(nan=0.0))
    assert (whole - expected).abs().max() > 1e-4  # a joint at zero is not a missing one


@pytest.mark.parametrize("normalize", [NormalizeConfig(face_camera=True), NormalizeConfig(scale="unit")])
def test_normalisation_is_inside(normalize: NormalizeConfig) -> None:
    joints = clips(12, bodies=2).float()  # turning computes in float32
    joints[0, :, 3:5] = 0
    model, data = trained(**TINY).float(), DataConfig(normalize=normalize)
    expected = model_logits(model, data, joints)
    assert (expected - model_logits(model, DataConfig(), joints)).abs().max() > 1e-2
    torch.testing.assert_close(folded_logits(model, data, joints), expected)


def test_bodies_and_frames_of_zeros_are_absent() -> None:
    joints = clips(12, bodies=2)
    joints[0, ..., 1] = 0
    joints[1, :, 4:6, :, 0] = 0
    assert_equal(trained(**TINY), DataConfig(), joints)


def test_one_body_gives_the_same_logits_beside_an_absent_one() -> None:
    joints = clips(12)
    model = trained(**TINY)
    beside = folded_logits(model, DataConfig(), torch.cat([joints, 0 * joints], dim=4))
    torch.testing.assert_close(beside, folded_logits(model, DataConfig(), joints), **EXACT)


def test_folding_leaves_the_model_as_it_is() -> None:
    model = trained(**TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    FoldedCore(model, DataConfig(), 12).float()
    assert model.classifier.weight.dtype == torch.float64
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_norm_that_only_rises_needs_no_ceiling() -> None:
    assert not Limits(nn.BatchNorm2d(4).double()).has_ceiling
