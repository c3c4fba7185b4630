"""Distillation losses as functions of tensors, each from its paper.

Legend: N clips, W teachers, K classes, D features, T frames, V joints.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_MASK = 1000.0  # subtracted from a logit, it gives a probability of zero and a finite logarithm


def ensemble_log_probabilities(logits: Tensor, weights: Tensor, tau: float) -> Tensor:
    """Return the logarithm (N, K) of the teachers' averaged probabilities, softened by `tau`.

    Args:
        logits: (N, W, K).
        weights: (W,), the weight of each teacher, or (N, W) for each clip; their sum is one. A teacher of weight 0 has
            no influence.
        tau: the temperature.
    """
    return ((logits / tau).log_softmax(dim=2) + weights.log().unsqueeze(-1)).logsumexp(dim=1)


def kd_loss(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    """Return `tau^2 * KL(p_teacher || p_student)`, a mean over clips (Hinton, Vinyals, Dean, arXiv 1503.02531, 2015).

    The factor keeps the scale of the gradient the same at every temperature.

    Args:
        student: (N, K), logits.
        teacher: (N, K), logarithms of softened probabilities.
        tau: the temperature, which softens the student here.
    """
    softened = (student / tau).log_softmax(dim=1)
    return tau**2 * functional.kl_div(softened, teacher, log_target=True, reduction="batchmean")


def decoupled_kd_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, tau: float, *, target: float, others: float
) -> Tensor:
    """Return `tau^2 * (target * TCKD + others * NCKD)`, decoupled distillation (Zhao et al., CVPR 2022, equation 7).

    TCKD is the divergence between the binary distributions (right class, all others) of teacher and student, NCKD the
    one between their distributions over the other classes. With `target` 1, and `others` equal to the teacher's
    probability of the other classes, their sum would be the plain divergence.

    Args:
        student: (N, K), logits.
        teacher: (N, K), logarithms of softened probabilities.
        labels: (N,), the right classes.
        tau: the temperature, which softens the student here.
        target, others: the weights, alpha and beta in the paper.
    """
    right = labels[:, None] == torch.arange(student.shape[1], device=labels.device)  # (N, K)
    pairs, rests = [], []
    for logarithms in ((student / tau).log_softmax(dim=1), teacher):
        without = logarithms - _MASK * right
        of_right = (logarithms * right).sum(dim=1)
        pairs.append(torch.stack([of_right, without.logsumexp(dim=1)], dim=1))  # (N, 2)
        rests.append(without.log_softmax(dim=1))
    divergences = [
        functional.kl_div(of_student, of_teacher, log_target=True, reduction="batchmean")
        for of_student, of_teacher in (pairs, rests)
    ]
    return tau**2 * (target * divergences[0] + others * divergences[1])


def hint_loss(student: Sequence[Tensor], teachers: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Return half the mean squared distance of pooled features (FitNets: Romero et al., ICLR 2015, equation 3).

    Args:
        student: (N, D) for each teacher, the student's features mapped to that teacher's width.
        teachers: (N, D) each.
        weights: (W,), the weight of each teacher, or (N, W) for each clip.
    """
    if weights.dim() > 1:
        of_clips = [(own - theirs).square().mean(dim=1) for own, theirs in zip(student, teachers, strict=True)]
        return 0.5 * (torch.stack(of_clips, dim=1) * weights).sum(dim=1).mean()
    distances = [functional.mse_loss(own, theirs) for own, theirs in zip(student, teachers, strict=True)]
    return 0.5 * (torch.stack(distances) * weights).sum()


def attention_transfer_loss(student: Sequence[Tensor], teachers: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Return half the squared distance between normalised activation maps, summed over stages and averaged over clips.

    Attention transfer (Zagoruyko and Komodakis, ICLR 2017, section 3.1); squared, so that the gradient vanishes where
    the maps agree.

    Args:
        student: (N, T, V) per stage.
        teachers: (N, W, T, V) per stage.
        weights: (W,), the weight of each teacher, or (N, W) for each clip.
    """
    total = weights.new_zeros(())
    for own, theirs in zip(student, teachers, strict=True):
        direction = functional.normalize(own.flatten(1), dim=1)[:, None]  # (N, 1, T*V)
        distances = (direction - functional.normalize(theirs.flatten(2), dim=2)).square().sum(dim=2)  # (N, W)
        total = total + 0.5 * (distances * weights).sum(dim=1).mean()
    return total
