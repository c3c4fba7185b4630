"""What a student is teacher_loss with: each distillation loss a function of tensors, from its paper.

Legend: N clips, W teachers, K classes, D features, T frames, V joints.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_OUT_OF_SIGHT = 1000.0  # taken from a logit, it leaves a probability of zero and a finite logarithm


def blended(logits: Tensor, weights: Tensor, tau: float) -> Tensor:
    """Return the logarithm (N, K) of the teachers' mean probabilities, softened by `tau`.

    Args:
        logits: (N, W, K).
        weights: (W,), how much each teacher's word counts; their sum is one.
        tau: the temperature.
    """
    return ((logits / tau).log_softmax(dim=2) + weights.log()[None, :, None]).logsumexp(dim=1)


def match_probabilities(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    """Return `tau^2 * KL(p_teacher || p_student)`, a mean over clips (Hinton, Vinyals, Dean, arXiv 1503.02531, 2015).

    The factor keeps the gradient's size the same at every temperature.

    Args:
        student: (N, K), logits.
        teacher: (N, K), logarithms of softened probabilities.
        tau: the temperature, which softens the student here.
    """
    softened = (student / tau).log_softmax(dim=1)
    return tau**2 * functional.kl_div(softened, teacher, log_target=True, reduction="batchmean")


def match_apart(
    student: Tensor, teacher: Tensor, labels: Tensor, tau: float, *, target: float, others: float
) -> Tensor:
    """Return `tau^2 * (target * TCKD + others * NCKD)`, decoupled distillation (Zhao et al., CVPR 2022, equation 7).

    TCKD is the divergence between the teacher's and the student's pair (right class, all others), NCKD the one between
    their distributions over the other classes alone. With `others` as the teacher's probability that the right class
    is wrong, both together would be the plain divergence.

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
        without = logarithms - _OUT_OF_SIGHT * right
        of_right = (logarithms * right).sum(dim=1)
        pairs.append(torch.stack([of_right, without.logsumexp(dim=1)], dim=1))  # (N, 2)
        rests.append(without.log_softmax(dim=1))
    divergences = [
        functional.kl_div(of_student, of_teacher, log_target=True, reduction="batchmean")
        for of_student, of_teacher in (pairs, rests)
    ]
    return tau**2 * (target * divergences[0] + others * divergences[1])


def match_features(student: Sequence[Tensor], teachers: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Return half the mean squared distance of pooled features (FitNets: Romero et al., ICLR 2015, equation 3).

    Args:
        student: (N, D) for each teacher, the student's features mapped to that teacher's width.
        teachers: (N, D) each.
        weights: (W,), how much each teacher counts.
    """
    distances = [functional.mse_loss(own, theirs) for own, theirs in zip(student, teachers, strict=True)]
    return 0.5 * (torch.stack(distances) * weights).sum()


def match_activity(student: Sequence[Tensor], teachers: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Return how far the student looks elsewhere in time and on the body than its teachers.

    Half the squared distance between maps of activity, each divided by its length, summed over stages and averaged
    over clips (attention transfer: Zagoruyko and Komodakis, ICLR 2017, section 3.1; squared, so that the gradient
    fades where the maps agree).

    Args:
        student: (N, T, V) a stage.
        teachers: (N, W, T, V) a stage.
        weights: (W,), how much each teacher counts.
    """
    total = weights.new_zeros(())
    for own, theirs in zip(student, teachers, strict=True):
        direction = functional.normalize(own.flatten(1), dim=1)[:, None]  # (N, 1, T*V)
        distances = (direction - functional.normalize(theirs.flatten(2), dim=2)).square().sum(dim=2)  # (N, W)
        total = total + 0.5 * (distances * weights).sum(dim=1).mean()
    return total
