"""Distillation losses against their formulas, written out by hand in float64."""

import math

import pytest
import torch
from torch import Tensor

from last.distillation.losses import (
    attention_transfer_loss,
    decoupled_kd_loss,
    ensemble_log_probabilities,
    hint_loss,
    kd_loss,
)

ONE = torch.ones(1, dtype=torch.float64)


def logits(seed: int, *shape: int) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softened(values: list[float], tau: float) -> list[float]:
    powers = [math.exp(value / tau) for value in values]
    return [power / sum(powers) for power in powers]


def divergence(teacher: list[float], student: list[float]) -> float:
    return sum(p * math.log(p / q) for p, q in zip(teacher, student, strict=True))


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_probabilities_are_matched_by_the_owners_formula(tau: float) -> None:
    student, teacher = logits(1, 3, 5), logits(2, 3, 1, 5)
    found = kd_loss(student, ensemble_log_probabilities(teacher, ONE, tau), tau)
    pairs = zip(teacher[:, 0].tolist(), student.tolist(), strict=True)
    wanted = sum(tau**2 * divergence(softened(t, tau), softened(s, tau)) for t, s in pairs) / 3
    assert found.item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("tau", [0.5, 4.0])
def test_a_teacher_with_the_students_outputs_changes_nothing(tau: float) -> None:
    student = logits(1, 4, 6).requires_grad_()
    teacher = ensemble_log_probabilities(student.detach()[:, None], ONE, tau)
    labels = torch.tensor([0, 1, 2, 3])
    for loss in (
        kd_loss(student, teacher, tau),
        decoupled_kd_loss(student, teacher, labels, tau, target=1.0, others=8.0),
    ):
        (gradient,) = torch.autograd.grad(loss, student)
        assert loss.item() == pytest.approx(0.0, abs=1e-12)
        assert gradient.abs().max() < 1e-12


def test_several_teachers_count_by_the_mean_of_their_probabilities() -> None:
    teachers, weights = logits(3, 2, 3, 4), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    mean = ((teachers / 4.0).softmax(dim=2) * weights[:, None]).sum(dim=1)
    torch.testing.assert_close(ensemble_log_probabilities(teachers, weights, 4.0).exp(), mean, rtol=1e-12, atol=0)


def test_right_and_other_classes_are_matched_apart_by_the_papers_formula() -> None:
    tau, student, teacher, labels = 2.0, logits(1, 3, 4), logits(2, 3, 1, 4), [2, 0, 3]
    wanted = 0.0
    for s, t, label in zip(student.tolist(), teacher[:, 0].tolist(), labels, strict=True):
        own, theirs = softened(s, tau), softened(t, tau)
        pair = divergence([theirs[label], 1 - theirs[label]], [own[label], 1 - own[label]])
        rest_own, rest_theirs = (
            [p / (1 - each[label]) for i, p in enumerate(each) if i != label] for each in (own, theirs)
        )
        wanted += tau**2 * (0.7 * pair + 5.0 * divergence(rest_theirs, rest_own)) / 3
    found = decoupled_kd_loss(
        student, ensemble_log_probabilities(teacher, ONE, tau), torch.tensor(labels), tau, target=0.7, others=5.0
    )
    assert found.item() == pytest.approx(wanted, rel=1e-10)


def test_both_parts_together_are_the_plain_divergence() -> None:
    student, teacher, label = logits(1, 1, 5), logits(2, 1, 1, 5), 3
    logarithms = ensemble_log_probabilities(teacher, ONE, 4.0)
    doubt = 1 - logarithms[0, label].exp().item()
    apart = decoupled_kd_loss(student, logarithms, torch.tensor([label]), 4.0, target=1.0, others=doubt)
    torch.testing.assert_close(apart, kd_loss(student, logarithms, 4.0))


def test_a_teacher_beyond_doubt_leaves_finite_gradients() -> None:
    student = torch.tensor([[-200.0, 200.0, 0.0]], requires_grad=True)
    teacher = ensemble_log_probabilities(torch.tensor([[[500.0, -500.0, 0.0]]]), torch.ones(1), 1.0)
    for loss in (
        kd_loss(student, teacher, 1.0),
        decoupled_kd_loss(student, teacher, torch.tensor([0]), 1.0, target=1.0, others=8.0),
    ):
        (gradient,) = torch.autograd.grad(loss, student)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


def test_features_are_matched_by_half_the_mean_square() -> None:
    own, theirs = [logits(1, 2, 3), logits(2, 2, 4)], [logits(3, 2, 3), logits(4, 2, 4)]
    squares = [((a - b) ** 2).sum().item() / a.numel() for a, b in zip(own, theirs, strict=True)]
    weights = torch.tensor([0.75, 0.25], dtype=torch.float64)
    wanted = 0.5 * (0.75 * squares[0] + 0.25 * squares[1])
    assert hint_loss(own, theirs, weights).item() == pytest.approx(wanted, rel=1e-12)


def test_activity_is_matched_by_the_squared_distance_of_directions() -> None:
    own, theirs = logits(1, 2, 3, 4).abs(), logits(2, 2, 2, 3, 4).abs()
    weights = torch.tensor([0.75, 0.25], dtype=torch.float64)
    wanted = 0.0
    for clip in range(2):
        direction = own[clip] / own[clip].square().sum().sqrt()
        for teacher in range(2):
            other = theirs[clip, teacher] / theirs[clip, teacher].square().sum().sqrt()
            wanted += 0.5 * weights[teacher].item() * (direction - other).square().sum().item() / 2
    found = attention_transfer_loss([own, own], [theirs, theirs], weights)
    assert found.item() == pytest.approx(2 * wanted, rel=1e-12)


def test_activity_is_compared_by_where_it_is_not_by_how_much() -> None:
    own = logits(1, 2, 3, 4).abs()
    assert attention_transfer_loss([own], [7 * own[:, None]], ONE).item() == pytest.approx(0.0, abs=1e-12)
