"""From streams to logits: what both model families do around their backbones.

Legend: N clips, M bodies, B bodies computed (at most N*M), C coordinates, T frames, V joints, D features.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..skeleton import Layout
from .facts import ModelFacts
from .multi_body import STREAMS, average_bodies, check_streams, check_values, fold_bodies, present_body_slots


class ForwardDetails(NamedTuple):
    """Logits and intermediate results of a forward pass.

    Attributes:
        logits: (N, classes).
        features: (N, D), pooled.
        activation_maps: one per stage, (N, T, V): the mean square over channels.
    """

    logits: Tensor
    features: Tensor
    activation_maps: list[Tensor]


class SkeletonClassifier(nn.Module):
    """Classify a clip from its joint, velocity and bone streams, with one body or several.

    A family adds its backbone in `body_features`, and `dropout` and `classifier` behind it.

    Args:
        layout: the joint layout of the input.
        num_features: D, how many features describe a clip.
        streams: the names of the streams that it reads.

    Attributes:
        facts: input, classes and training of the model; completed by `load_checkpoint`.
        trusting: whether to skip the check of input values outside of training, which makes the host wait for a GPU.
    """

    dropout: nn.Dropout
    classifier: nn.Linear

    def __init__(self, layout: Layout, num_features: int, streams: Sequence[str] = STREAMS) -> None:
        super().__init__()
        self.coordinates, self.num_joints = layout.coordinates, layout.num_joints
        self.num_features = num_features
        self.streams = tuple(streams)
        self.facts = ModelFacts(type(self).__name__, layout)
        self.trusting = False

    def body_features(self, streams: Mapping[str, Tensor], activation_maps: list[Tensor] | None = None) -> Tensor:
        """Return the features (B, D) of single bodies; each stream is (B, C, T, V).

        The activity (B, T, V) at the end of each stage is added to `activation_maps` where there is such a list.
        """
        raise NotImplementedError

    def forward_features(
        self,
        streams: Mapping[str, Tensor],
        body_mask: Tensor | None = None,
        body_slots: Tensor | None = None,
        activation_maps: list[Tensor] | None = None,
    ) -> Tensor:
        """Return the clip's features (N, D), averaged over the bodies that are present.

        Args:
            streams: `joint`, `velocity`, `bone` and those that were added, each (N, C, T, V, M).
            body_mask: (N, M) bool, which bodies are present; every body where it is None.
            body_slots: (B,) the indices n * M + m of the bodies to compute, if known on the host, or the result of
                `multi_body.padded`. In training absent bodies are always left out, since they would move the
                BatchNorm statistics.
            activation_maps: a list that gets the activity (N, T, V) of each stage, averaged as the features are.

        Raises:
            ValueError: a stream is missing, a shape or type does not fit, or, outside of training, a clip has no
                body or a body that is present has a coordinate that is not finite. Training leaves values to the
                trainer's guard, which skips such a batch; a compiled or exported model does not read them either.
        """
        check_streams(streams, body_mask, body_slots, self.coordinates, self.num_joints, self.streams)
        joint = streams["joint"]
        if not (self.training or self.trusting) and _values_are_there(joint):
            check_values(streams, body_mask, self.streams)
        if body_mask is None:
            body_mask = torch.ones(joint.shape[0], joint.shape[4], dtype=torch.bool, device=joint.device)
        elif body_slots is None and self.training:
            body_slots = present_body_slots(body_mask)
        folded = {name: fold_bodies(streams[name], body_slots) for name in self.streams}
        by_body: list[Tensor] = []
        features = self.body_features(folded, None if activation_maps is None else by_body)  # (B, D)
        if activation_maps is not None:
            averages = [average_bodies(each.flatten(1), body_mask, body_slots) for each in by_body]
            activation_maps += [
                average.view(-1, *each.shape[1:]) for average, each in zip(averages, by_body, strict=True)
            ]
        return average_bodies(features, body_mask, body_slots)

    def forward(
        self,
        streams: Mapping[str, Tensor],
        body_mask: Tensor | None = None,
        body_slots: Tensor | None = None,
        return_details: bool = False,
    ) -> Tensor | ForwardDetails:
        """Return the logits (N, classes), or `ForwardDetails` if `return_details`.

        The other arguments are those of `forward_features`.
        """
        activation_maps: list[Tensor] = []
        features = self.forward_features(streams, body_mask, body_slots, activation_maps if return_details else None)
        logits: Tensor = self.classifier(self.dropout(features))
        return ForwardDetails(logits, features, activation_maps) if return_details else logits

    def reset_classifier(self, num_classes: int) -> None:
        """Put a new, untrained head of `num_classes` classes behind the features."""
        weight = self.classifier.weight
        self.classifier = nn.Linear(self.num_features, num_classes).to(weight.device, weight.dtype)
        self.facts = replace(self.facts, classes=())


@contextmanager
def trusted(model: nn.Module) -> Iterator[None]:
    """Skip a model's check of input values while the block runs; the caller has checked or made them."""
    if not isinstance(model, SkeletonClassifier):
        yield
        return
    before, model.trusting = model.trusting, True
    try:
        yield
    finally:
        model.trusting = before


def _values_are_there(tensor: Tensor) -> bool:
    """Tell whether a tensor's values can be read now, rather than be recorded for a later run or not exist at all."""
    if torch.compiler.is_compiling() or tensor.is_meta:
        return False
    return not (tensor.is_cuda and torch.cuda.is_current_stream_capturing())
