"""Which parameters weight decay touches."""

import re
from pathlib import Path

from torch import nn

import last
from last.settings.run import RunConfig
from last.training.optim import build_optimizer


class Adaptive(nn.Module):
    """Parameters by the names that the owner's rule knows."""

    def __init__(self) -> None:
        super().__init__()
        self.A_learned = nn.Parameter(nn.init.zeros_(nn.Parameter(nn.Linear(3, 3).weight)))
        self.alpha = nn.Parameter(nn.Linear(3, 3).weight.detach())
        self.linear = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)


def text(path: str) -> str:
    return (Path(__file__).parents[2] / path).read_text(encoding="utf-8")


def names_by_decay(model: nn.Module) -> dict[float, set[str]]:
    optimizer = build_optimizer(model, RunConfig().optimization)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        group["weight_decay"]: {names[id(parameter)] for parameter in group["params"]}
        for group in optimizer.param_groups
    }


def test_only_weights_of_linear_maps_decay() -> None:
    groups = names_by_decay(Adaptive())
    assert groups[0.0004] == {"linear.weight"}
    assert groups[0.0] == {"A_learned", "alpha", "linear.bias", "norm.weight", "norm.bias"}


def test_every_parameter_of_a_student_is_in_exactly_one_group() -> None:
    model = last.create_model("base_e")
    groups = names_by_decay(model)
    assert groups[0.0004] | groups[0.0] == {name for name, _ in model.named_parameters()}
    assert not groups[0.0004] & groups[0.0]
    assert all(name.endswith("weight") and "norm" not in name for name in groups[0.0004])


def test_the_documents_name_every_parameter_that_does_not_decay() -> None:
    switches = {"graph_subsets": ["mirror"], "learned_adjacency": True, "joint_embedding": True}
    models = last.create_model("nano_e", **switches), last.create_model("base")
    free = {name.split(".")[-1] for model in models for name in names_by_decay(model)[0.0]} - {"weight", "bias"}
    assert {"alpha", "alpha_added", "joint_embedding"} <= free
    (comment,) = re.findall(r"^weight_decay: [^\n]*\n +#[^\n]*", text("configs/training/default.yaml"), re.MULTILINE)
    (row,) = [line for line in text("docs/training.md").splitlines() if line.startswith("| `weight_decay` |")]
    for name in sorted({*free, "A_learned"}):
        assert re.search(rf"\b{name}\b", comment)
        assert f"`{name}`" in row


def test_optimizer_is_nesterov_sgd_with_the_owners_values() -> None:
    defaults = build_optimizer(nn.Linear(2, 2), RunConfig().optimization).defaults
    assert (defaults["momentum"], defaults["nesterov"], defaults["lr"]) == (0.9, True, 0.01)


def test_without_momentum_nothing_is_kept_of_a_gradient() -> None:
    optimizer = build_optimizer(nn.Linear(2, 2), RunConfig(momentum=0.0).optimization)
    assert not optimizer.state
    assert not optimizer.defaults["nesterov"]
