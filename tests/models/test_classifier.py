"""What both families do with clips and bodies, and which input they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from model_probes import opened, random_streams, settled
from torch import Tensor, nn

import last
from last.models.multi_body import STREAMS, padded, present_body_slots

FAMILIES = ("nano_e", "small")
Build = Callable[[], nn.Module]


@pytest.fixture(params=FAMILIES)
def build(request: pytest.FixtureRequest) -> Build:
    """Return a function that builds a small model of a family, always with the same weights."""

    def build() -> nn.Module:
        torch.manual_seed(7)
        sizes = {"channels": [8, 16, 32], "blocks": [1, 1, 1], "dropout": 0.0, "block_dropout": 0.0}
        return opened(last.create_model(request.param, num_classes=5, **sizes))

    return build


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("read", [["bone"], ["velocity", "joint"]])
def test_a_model_of_some_streams_needs_and_uses_only_those(family: str, read: list[str]) -> None:
    sizes = {"channels": [8, 16, 32], "blocks": [1, 1, 1], "dropout": 0.0, "block_dropout": 0.0, "streams": read}
    torch.manual_seed(7)
    model = settled(opened(last.create_model(family, num_classes=5, **sizes)))
    streams = random_streams()
    own = {name: streams[name] for name in read}
    assert model.streams == tuple(name for name in STREAMS if name in read)
    assert torch.equal(model(own), model(streams))
    others = {name: stream if name in read else torch.full_like(stream, torch.nan) for name, stream in streams.items()}
    assert torch.equal(model(own), model(others))
    model.train()(streams, torch.ones(2, 2, dtype=torch.bool)).sum().backward()
    assert all(each.grad is not None for each in model.parameters())
    del streams[read[0]]
    with pytest.raises(ValueError, match=f"needs a dict of the streams {', '.join(model.streams)}, each"):
        model(streams)


def test_a_model_of_all_streams_is_the_same_however_they_are_listed() -> None:
    found = []
    for streams in (["joint", "velocity", "bone"], ["bone", "joint", "velocity"]):
        torch.manual_seed(0)
        found.append(last.create_model("nano_e", num_classes=3, streams=streams).state_dict())
    torch.manual_seed(0)
    found.append(last.create_model("nano_e", num_classes=3).state_dict())
    assert all(list(each) == list(found[0]) for each in found)
    assert all(torch.equal(value, each[name]) for each in found for name, value in found[0].items())


@pytest.mark.parametrize("garbage", [0.0, 1e6, torch.nan])
def test_what_an_absent_body_holds_does_not_matter_in_training(build: Build, garbage: float) -> None:
    model, streams = build().train(), random_streams()
    valid = torch.tensor([[True, False], [True, True]])
    clean = model(streams, valid, present_body_slots(valid))
    for stream in streams.values():
        stream[0, ..., 1] = garbage
    torch.testing.assert_close(model(streams, valid), clean)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("told", [True, False])
def test_a_batch_in_which_no_clip_has_a_body_has_the_logits_of_no_features(
    build: Build, training: bool, told: bool
) -> None:
    model, nobody = build().train(training), torch.zeros(2, 2, dtype=torch.bool)
    slots = nobody.flatten().nonzero().squeeze(1) if told else None
    streams = {name: torch.zeros_like(stream) for name, stream in random_streams().items()}
    logits = model(streams, nobody, slots, check_values=False)
    torch.testing.assert_close(logits, model.classifier.bias.expand_as(logits))
    assert all(buffer.isfinite().all() for buffer in model.buffers())


def test_absent_body_does_not_move_normalisation_statistics(build: Build) -> None:
    model, twin, streams = build().train(), build().train(), random_streams()
    model(streams, torch.tensor([[True, False], [True, False]]))
    twin({name: stream[..., :1] for name, stream in streams.items()})
    moved = dict(model.named_buffers())
    for name, buffer in twin.named_buffers():
        torch.testing.assert_close(buffer, moved[name])


def test_one_body_clip_costs_and_gives_what_one_body_does(build: Build) -> None:
    model, streams = settled(build()), random_streams()
    first = {name: stream[..., :1] for name, stream in streams.items()}
    valid = torch.tensor([[True, False], [True, False]])
    torch.testing.assert_close(model(streams, valid, present_body_slots(valid)), model(first))


@pytest.mark.parametrize("multiple", [1, 2, 5, 8])
def test_padded_rows_repeat_shapes_and_change_no_result_or_gradient(build: Build, multiple: int) -> None:
    model, streams = settled(build()), random_streams()
    valid = torch.tensor([[True, False], [True, True]])
    rows = present_body_slots(valid)
    more = padded(rows, 4, multiple)
    assert len(more) % multiple == 0
    assert len(more) - len(rows) < multiple
    found = []
    for slots in (rows, more):
        model.zero_grad()
        logits = model(streams, valid, slots)
        logits.square().sum().backward()
        found.append([logits, *(each.grad for each in model.parameters() if each.grad is not None)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one)


def test_features_feed_the_classifier(build: Build) -> None:
    model, streams = settled(build()), random_streams()
    features = model.forward_features(streams)
    assert features.shape == (2, model.num_features)
    torch.testing.assert_close(model.classifier(features), model(streams))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joint": torch.zeros(2, 3, 8, 20, 2)}, r"\(clips, 3, frames, 25, bodies\); 'joint' has \(2, 3, 8, 20, 2\)"),
        ({"joint": torch.zeros(2, 2, 8, 25, 2)}, r"\(clips, 3, frames, 25, bodies\); 'joint' has \(2, 2, 8, 25, 2\)"),
        ({"joint": torch.zeros(2, 3, 8, 25)}, r"\(clips, 3, frames, 25, bodies\); 'joint' has \(2, 3, 8, 25\)"),
        (dict.fromkeys(STREAMS, torch.zeros(2, 3, 0, 25, 2)), r"'joint' has \(2, 3, 0, 25, 2\)"),
        ({"bone": torch.zeros(1, 3, 8, 25, 2)}, r"'joint' \(2, 3, 8, 25, 2\), 'bone' \(1, 3, 8, 25, 2\)"),
        ({"bone": torch.zeros(2, 3, 8, 25, 2, dtype=torch.int64)}, r"floating-point numbers; 'bone' holds torch.int64"),
        ({"acceleration": torch.zeros(2, 3, 8, 25, 2)}, "streams joint, velocity, bone, .* has the keys .*acc"),
    ],
)  # fmt: skip
def test_streams_that_do_not_fit_are_refused(build: Build, change: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build().eval()({**random_streams(), **change})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(1, 3, 8, 25, 1), r"its input has the type Tensor and the shape \(1, 3, 8, 25, 1\)"),
        (np.zeros((2, 8, 25, 3)), r"its input has the type ndarray and the shape \(2, 8, 25, 3\)"),
        ([1, 2], "its input has the type list"),
        (None, "its input has the type NoneType"),
        ({"joints": torch.zeros(1)}, "its input has the keys joints"),
        ({name: np.zeros((1, 3, 8, 25, 1)) for name in STREAMS}, "'joint' has the type ndarray"),
        ({name: torch.zeros(3, 8, 25, 1) for name in STREAMS}, r"'joint' has \(3, 8, 25, 1\)"),
    ],
)
def test_whatever_is_given_instead_of_streams_is_refused_with_the_way_to_them(
    build: Build, given: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        build().eval()(given)
    assert "(clips, 3, frames, 25, bodies)" in str(refused.value)
    assert "streams, body_mask = last.model_inputs(model, clip)" in str(refused.value)


@pytest.mark.parametrize("given", [{"body_mask": [[True]]}, {"body_mask": np.ones((2, 2), bool)}, {"body_slots": [0]}])
def test_presence_that_is_no_tensor_is_refused(build: Build, given: dict[str, object]) -> None:
    valid = torch.ones(2, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=f"`{next(iter(given))}` should be a tensor; it has the type "):
        build().eval()(random_streams(), **{"body_mask": valid, **given})


def test_missing_stream_is_refused(build: Build) -> None:
    streams = random_streams()
    del streams["bone"]
    with pytest.raises(
        ValueError, match=r"the streams joint, velocity, bone, .* its input has the keys joint, velocity"
    ):
        build().eval()(streams)


@pytest.mark.parametrize(
    ("valid", "message"),
    [
        (torch.ones(2, 3, dtype=torch.bool), r"shape \(2, 2\) \(clips, bodies\).* not \(2, 3\)"),
        (torch.ones(2, 1, dtype=torch.bool), r"shape \(2, 2\) \(clips, bodies\).* not \(2, 1\)"),
        (torch.ones(2, 2), r"torch\.bool, not \(2, 2\) and torch\.float32"),
        (torch.tensor([[True, True], [False, False]]), "at least one body; clip 1 of 2 has none"),
    ],
)
def test_validity_that_does_not_fit_is_refused(build: Build, valid: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build().eval()(random_streams(), valid)


@pytest.mark.parametrize(
    ("body_mask", "body_slots", "message"),
    [
        (None, torch.tensor([0]), "`body_slots` needs `body_mask`, which says which bodies are present"),
        (torch.ones(2, 2, dtype=torch.bool), torch.ones(2, 2, dtype=torch.int64), r"not \(2, 2\) and torch\.int64"),
        (torch.ones(2, 2, dtype=torch.bool), torch.ones(2), r"not \(2,\) and torch\.float32"),
    ],
)
def test_body_slots_that_do_not_fit_are_refused(
    build: Build, body_mask: Tensor | None, body_slots: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build().eval()(random_streams(), body_mask, body_slots)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_coordinates_that_are_not_finite_are_refused_where_a_body_is_present(build: Build, value: float) -> None:
    streams = random_streams()
    streams["velocity"][1, 2, 3, 4, 0] = value
    message = r"'velocity', given with the shape \(2, 3, 8, 25, 2\), holds NaN or infinity in clip 1, body 0"
    with pytest.raises(ValueError, match=message):
        build().eval()(streams)


def test_training_leaves_values_to_the_trainers_guard(build: Build) -> None:
    streams = random_streams()
    streams["joint"][0] = torch.nan
    assert build().train()(streams).isnan().all()


def test_model_without_memory_gives_shapes(build: Build) -> None:
    streams = {name: stream.to("meta") for name, stream in random_streams().items()}
    assert build().to("meta").eval()(streams).shape == (2, 5)
