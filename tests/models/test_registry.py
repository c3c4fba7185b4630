"""Models by name."""

import pytest

import last
from last.utils.errors import UserError


def test_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="Did you mean 'nano_e'"):
        last.create_model("nano_ee")


def test_unknown_size_is_refused() -> None:
    with pytest.raises(UserError, match="dropuot"):
        last.create_model("nano_e", dropuot=0.1)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"channels": [24, 7, 96]}, "channels: 7 should divide into 2 equal parts"),
        ({"channels": [24, 48, 10**6]}, "channels: .* at most 4096"),
        ({"channels": [], "blocks": [], "attention": []}, "channels: .* a list of 1 or 2"),
        ({"dilations": []}, "dilations: .* a list of 1 or 2"),
        ({"dilations": [1, 0]}, "dilations: .* at least 1"),
        ({"kernel_frames": 8}, "kernel_frames: 8 should be odd"),
    ],
)
def test_sizes_that_make_no_network_are_refused(sizes: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        last.create_model("nano_e", **sizes)


def test_sizes_of_another_number_of_stages_are_refused() -> None:
    with pytest.raises(UserError, match="channels has 3, blocks has 2, attention has 3"):
        last.create_model("nano_e", blocks=[1, 2])
