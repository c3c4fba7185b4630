"""From streams to logits: the part that all model families share around their backbones.

Legend: N clips, M bodies, B bodies computed (at most N*M), C coordinates, T frames, V joints, D features.
"""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..skeleton import Layout
from . import multi_body
from .facts import ModelFacts
from .layers import activity
from .multi_body import STREAMS, average_bodies, check_streams, fold_bodies, present_body_slots, select_bodies
from .padding import counting
from .stream_masks import stream_masks
from .tracing import is_traced


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


class BodyFeatures(NamedTuple):
    """The features of single bodies from one backbone or several.

    Attributes:
        features: (B, D), pooled over frames and joints.
        stages: the output of each stage, (C, T, B, V), one tensor per backbone.
    """

    features: Tensor
    stages: list[list[Tensor]]

    @classmethod
    def of(cls, stages: Sequence[Tensor]) -> "BodyFeatures":
        """Pool the output of the last stage of one backbone; `stages` are (C, T, B, V) each."""
        return cls(stages[-1].mean(dim=(1, 3)).t(), [[each] for each in stages])


class SkeletonClassifier(nn.Module):
    """Classify a clip from its joint, velocity and bone streams, or some of them, with one body or several.

    A family defines its backbone in `body_features`, and the layers `dropout` and `classifier` after it.

    Args:
        layout: the joint layout of the input.
        num_features: D, the number of features of a clip.
        streams: the names of its input streams.

    Attributes:
        facts: input, classes and training of the model; completed by `load_checkpoint`.
    """

    dropout: nn.Dropout
    classifier: nn.Linear
    parents: Tensor

    def __init__(self, layout: Layout, num_features: int, streams: Sequence[str] = STREAMS) -> None:
        super().__init__()
        self.coordinates, self.num_joints = layout.coordinates, layout.num_joints
        self.num_features = num_features
        self.streams = tuple(streams)
        self.register_buffer("parents", torch.tensor(layout.parents), persistent=False)  # (V,)
        self._takes_masks = "masks" in signature(self.body_features).parameters
        self.facts = ModelFacts(type(self).__name__, layout)

    def body_features(self, streams: Mapping[str, Tensor], masks: Mapping[str, Tensor] = {}) -> BodyFeatures:
        """Return the features of single bodies; each stream is (B, C, T, V).

        `masks`, which a family may leave out, are (B, T, V) bool for each stream where joints may be missing:
        statistics should be taken from these positions alone. Elsewhere the stream is zero.
        """
        raise NotImplementedError

    def forward_features(
        self,
        streams: Mapping[str, Tensor],
        body_mask: Tensor | None = None,
        body_slots: Tensor | None = None,
        *,
        joint_mask: Tensor | None = None,
        padded: bool = False,
        check_values: bool = True,
    ) -> Tensor:
        """Return the clip's features (N, D), averaged over the bodies that are present.

        Args:
            streams: those of `self.streams`, each (N, C, T, V, M); `joint`, `velocity` and `bone` may be there anyway.
            body_mask: (N, M) bool, which bodies are present; all of them if None.
            body_slots: (B,) the indices n * M + m of the bodies to compute, if known on the host, or the result of
                `multi_body.padded`. In training absent bodies are always left out, since they would move the
                BatchNorm statistics, unless no clip has a body: then the first is computed.
            joint_mask: (N, M, T, V) bool, which joints were measured, if some are missing: the statistics of the input
                BatchNorms are then taken from these alone. The streams are zero elsewhere; evaluation needs no mask.
            padded: whether padding among the body slots stays out of the statistics of BatchNorm in training.
            check_values: outside of training, check for unusable values, which makes the host wait for a GPU. Use False
                only if the values are known to be valid.

        Raises:
            ValueError: a stream is missing, a shape or type does not fit, or, outside of training, a clip has no
                body or a present body has a non-finite coordinate. In training the trainer's guard checks values
                and skips such a batch; a compiled or exported model does not check them either.
        """
        body_mask, body_slots = self._checked(streams, body_mask, body_slots, check_values)
        computed = self._computed(streams, body_slots, joint_mask, padded=padded)
        return average_bodies(computed.features, body_mask, body_slots)

    def forward(
        self,
        streams: Mapping[str, Tensor],
        body_mask: Tensor | None = None,
        body_slots: Tensor | None = None,
        *,
        return_details: bool = False,
        joint_mask: Tensor | None = None,
        padded: bool = False,
        check_values: bool = True,
    ) -> Tensor | ForwardDetails:
        """Return the logits (N, classes), or `ForwardDetails` if `return_details`.

        The other arguments are those of `forward_features`.
        """
        body_mask, body_slots = self._checked(streams, body_mask, body_slots, check_values)
        computed = self._computed(streams, body_slots, joint_mask, padded=padded)
        features = average_bodies(computed.features, body_mask, body_slots)
        logits: Tensor = self.classifier(self.dropout(features))
        if not return_details:
            return logits
        maps = [_mean_activity(stage) for stage in computed.stages]  # each (B, T, V)
        averaged = [average_bodies(each.flatten(1), body_mask, body_slots) for each in maps]
        shaped = [each.view(-1, *one.shape[1:]) for each, one in zip(averaged, maps, strict=True)]
        return ForwardDetails(logits, features, shaped)

    def _computed(
        self, streams: Mapping[str, Tensor], body_slots: Tensor | None, joint_mask: Tensor | None, *, padded: bool
    ) -> BodyFeatures:
        if not padded or not self.training or body_slots is None or is_traced():
            return self._features(streams, body_slots, joint_mask)
        clips, *_, most = streams[self.streams[0]].shape
        with counting(body_slots < clips * most):
            return self._features(streams, body_slots, joint_mask)

    def _features(
        self, streams: Mapping[str, Tensor], body_slots: Tensor | None, joint_mask: Tensor | None
    ) -> BodyFeatures:
        masks = {}
        if joint_mask is not None:
            folded = select_bodies(joint_mask.flatten(0, 1), body_slots)  # (B, T, V)
            masks = stream_masks(folded, self.parents, self.streams)
        folded_streams = {name: fold_bodies(streams[name], body_slots) for name in self.streams}
        if not masks or not self._takes_masks:
            return self.body_features(folded_streams)
        return self.body_features(folded_streams, masks)

    def _checked(
        self, streams: Mapping[str, Tensor], body_mask: Tensor | None, body_slots: Tensor | None, check_values: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Refuse an input that does not fit; return the body mask and the body slots to compute."""
        check_streams(streams, body_mask, body_slots, self.coordinates, self.num_joints, self.streams)
        first = streams[self.streams[0]]
        if check_values and not self.training and _values_are_there(first):
            multi_body.check_values(streams, body_mask, self.streams)
        if body_mask is None:
            return torch.ones(first.shape[0], first.shape[4], dtype=torch.bool, device=first.device), body_slots
        if body_slots is None and self.training:
            body_slots = present_body_slots(body_mask)
        if body_slots is not None and not len(body_slots):  # no clip has a body: compute an absent one, of zeros
            body_slots = body_slots.new_zeros(1)
        return body_mask, body_slots


def unchecked(model: nn.Module) -> dict[str, bool]:
    """Return the argument that disables a model's check of input values; none if the model has no such check."""
    return {"check_values": False} if isinstance(model, SkeletonClassifier) else {}


def _mean_activity(stage: Sequence[Tensor]) -> Tensor:
    """Return the activity of each frame and joint, (B, T, V), averaged over backbones; each tensor is (C, T, B, V)."""
    return torch.stack([activity(each) for each in stage]).mean(dim=0) if len(stage) > 1 else activity(stage[0])


def _values_are_there(tensor: Tensor) -> bool:
    """Tell whether a tensor's values can be read, which is not so while it is traced or fake."""
    if torch.compiler.is_compiling() or tensor.is_meta:
        return False
    return not (tensor.is_cuda and torch.cuda.is_current_stream_capturing())
