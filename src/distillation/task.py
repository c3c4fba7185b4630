"""The task of distillation: a student learns from the labels and from teacher outputs for the same clips.

Legend: N clips.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..data.loading.loader import Batch
from ..data.loading.run_data import TrainingData
from ..models.classifier import ForwardDetails, SkeletonClassifier
from ..models.layers import widened
from ..runtime.run_context import RunContext
from ..settings.data import AugmentConfig
from ..settings.distillation import DistillationConfig
from ..settings.run import RunConfig
from ..tasks.task import TaskOutput
from ..training.classification import Classification, weights_of_classes
from ..utils.errors import UserError
from ..utils.numbers import counted
from ..utils.plug_ins import settings_from
from .cache import CachedTeachers
from .cache_builder import cached_outputs
from .losses import attention_transfer_loss, decoupled_kd_loss, ensemble_log_probabilities, hint_loss, kd_loss
from .methods import LOGITS, MAPS, Context, MethodModule, compared, find_method
from .teacher_outputs import OutputSource, TeacherOutputs, refuse_non_finite
from .teachers import LiveTeachers, Teacher, forward_details, refuse_other_stages
from .unseen import UnseenClips, unseen_clips
from .untrained_classes import warn_of_untrained_classes


class Distillation(Classification):
    """Minimise `alpha * cross-entropy + (1 - alpha) * distillation`.

    The teachers are not submodules, so they are not trained, averaged, saved or set to training mode.

    Args:
        model: the student.
        config: the configuration of the run.
        source: the source of the teacher outputs.
        teachers: the teachers, for descriptions.
        known: (clips of the store,) bool, whether a clip's label may be used; None if every label may.
        known_share: the fraction of training clips whose label may be used.
        class_weights: (K,) how much the label of a clip of each class counts; the teachers' part of the loss is not
            weighted.
        unseen: the clips that each teacher was not trained on, if each clip is taught by those only.
    """

    weights: Tensor
    weights_by_clip: Tensor | None
    known: Tensor | None
    terms = ("labels", "teachers")

    def __init__(
        self,
        model: nn.Module,
        config: RunConfig,
        source: OutputSource,
        teachers: Sequence[Teacher] = (),
        *,
        known: Tensor | None = None,
        known_share: float = 1.0,
        class_weights: Tensor | None = None,
        unseen: UnseenClips | None = None,
    ) -> None:
        super().__init__(model, config.used_label_smoothing, config.metrics, class_weights)
        assert isinstance(model, SkeletonClassifier)
        self.config, self.source, self.teachers, self.known_share = config, source, teachers, known_share
        self.distillation = config.distillation
        self.method, self.settings = find_method(self.distillation.method), None
        if self.method is not None:
            values = self.distillation.method_settings
            self.settings = settings_from(self.method, values, "distillation.method_settings")
        self.needs_details = compared(self.distillation.method) != LOGITS
        given = torch.tensor(self.distillation.weights or [1.0] * source.clip_shapes.teachers, dtype=torch.float64)
        self.register_buffer("weights", (given / given.sum()).float(), persistent=False)  # (W,)
        self.unseen, by_clip = unseen, None if unseen is None else unseen.weights(self.weights)
        self.register_buffer("weights_by_clip", by_clip, persistent=False)  # (clips of the store, W)
        self.register_buffer("known", known, persistent=False)
        # Map the student's features to each teacher's width; with alpha 1 they would get no gradient.
        teaches = min(self._ce_weight(0), self._ce_weight(config.epochs - 1)) < 1
        widths = source.clip_shapes.features if teaches and self.method is None else []
        self.adapters = nn.ModuleList(nn.Linear(model.num_features, width) for width in widths)
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Set alpha and tau of the epoch."""
        self.ce_weight = self._ce_weight(epoch)
        self.tau = self._temperature(epoch)

    def description(self) -> str:
        """Return lines that describe the teachers and the method."""
        how, last = self.distillation, self.config.epochs - 1
        pairs = zip(self.weights.tolist(), self.teachers, strict=True)
        names = [f"teacher: {each}" + ("" if weight == 1 else f", weight {weight:.2f}") for weight, each in pairs]
        if self.unseen is not None:
            clips = counted(len(self.unseen.training_clips), "clip")
            answers = [f"{number:,} of {clips}, not seen in its training" for number in self.unseen.counts]
            names = [f"{name}, answers for {own}" for name, own in zip(names, answers, strict=True)]
        alpha = course(self._ce_weight(0), self._ce_weight(last))
        tau = course(self._temperature(0), self._temperature(last))
        if self._is_smoothed and how.tau_of_smoothed is not None:
            tau += " (a teacher was trained with label smoothing)"
        if how.label_smoothing is not None:
            tau += f", label smoothing {self.label_smoothing:g}"
        shown = "teachers see the student's input"
        if how.fixed_augmentations:
            times = self.config.epochs * self.config.repeats_per_epoch / how.fixed_augmentations
            shown = f"{how.fixed_augmentations} augmented views per clip{', computed once' * how.cached}"
            shown += f", each shown {times:.3g} times"
        return "\n" + "\n".join([*names, f"method {how.method}, alpha {alpha}, tau {tau}; {shown}"])

    def facts(self) -> dict[str, Any]:
        """Return the teachers and the method for the run's summary."""
        used = {"tau": self._temperature(0), "label_smoothing": self.label_smoothing}
        teachers = [each.facts for each in self.teachers]
        if self.unseen is not None:
            pairs = zip(teachers, self.unseen.counts, strict=True)
            teachers = [{**facts, "answered_clips": number} for facts, number in pairs]
        return {
            "teachers": teachers,
            "distillation": {**asdict(self.distillation), "used": used},
        }

    def forward(self, batch: Batch) -> TaskOutput:
        """Return the loss over a batch, its two terms, and the student's logits."""
        if self.ce_weight == 1 and not len(self.adapters) and self.known is None:
            output = super().forward(batch)  # with adapters, they need a gradient, even of zero
            return replace(output, terms={"labels": output.loss, "teachers": torch.zeros_like(output.loss)})
        student_output = self.model(
            batch.streams,
            batch.bodies,
            batch.body_slots,
            **batch.masks,
            **({"return_details": True} if self.needs_details else {}),
        )
        logits: Tensor = student_output.logits if self.needs_details else student_output  # (N, classes)
        teacher_outputs, weights = self.source(batch.streams, batch), self._weights_of(batch)
        with torch.autocast(logits.device.type, enabled=False):
            if self.method is None:
                teacher_loss = self._logit_loss(widened(logits), teacher_outputs, weights, batch.labels)
            else:
                teacher_loss = self._module_loss(self.method, student_output, teacher_outputs, batch.labels)
            if self.needs_details and self.method is None:
                teacher_loss = teacher_loss + self.distillation.feature_weight * self._detail_loss(
                    student_output, teacher_outputs, weights
                )
            label_loss = self._label_loss(logits, batch)
            loss = self.ce_weight * label_loss + (1 - self.ce_weight) * teacher_loss
        return TaskOutput(loss, logits, {"labels": label_loss, "teachers": teacher_loss})

    @property
    def _is_smoothed(self) -> bool:
        """Whether a teacher was trained with label smoothing."""
        return any(each.config.used_label_smoothing > 0 for each in self.teachers)

    def _temperature(self, epoch: int) -> float:
        return self.distillation.temperature(epoch, self.config.epochs, smoothed=self._is_smoothed)

    def _ce_weight(self, epoch: int) -> float:
        return self.distillation.ce_weight(self.config.model.name, epoch, self.config.epochs)

    def _label_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy over clips whose label may be used, divided by their expected number.

        A mean over those in the batch would weight a clip by its batch mates and by the number of processes.
        """
        if self.known is None:
            return self.label_loss(logits, batch)
        return self.mixed_losses(logits, batch, self.known[batch.indices]).mean() / self.known_share

    def _weights_of(self, batch: Batch) -> Tensor:
        """Return the weights of the teachers, (W,), or (N, W) for each clip if it has its own teachers.

        A mixed clip has those of both clips, each with its share: no teacher need be left that has seen neither.
        """
        if self.weights_by_clip is None:
            return self.weights
        own = self.weights_by_clip[batch.indices]
        if batch.partners is None or batch.partner_shares is None:
            return own
        return torch.lerp(own, own[batch.partners], batch.partner_shares[:, None].to(own.dtype))

    def _logit_loss(self, logits: Tensor, teacher_outputs: TeacherOutputs, weights: Tensor, labels: Tensor) -> Tensor:
        """Return the loss between the student's logits and the teachers'."""
        teacher = ensemble_log_probabilities(teacher_outputs.logits, weights, self.tau)
        if self.distillation.method != "dkd":
            return kd_loss(logits, teacher, self.tau)
        parts = {"target": self.distillation.dkd_target, "others": self.distillation.dkd_others}
        return decoupled_kd_loss(logits, teacher, labels, self.tau, **parts)

    def _module_loss(
        self, method: MethodModule, student_output: Any, teacher_outputs: TeacherOutputs, labels: Tensor
    ) -> Tensor:
        """Return the loss of a method that is a module of its own."""
        details = student_output if self.needs_details else ForwardDetails(student_output, student_output, [])
        maps = [widened(each) for each in details.activation_maps]
        student = ForwardDetails(widened(details.logits), widened(details.features), maps)
        known = labels if method.USES_LABELS else None
        return method.loss(student, teacher_outputs, Context(self.weights, self.tau, known, self.settings))

    def _detail_loss(self, student_output: ForwardDetails, teacher_outputs: TeacherOutputs, weights: Tensor) -> Tensor:
        """Return the loss between the student's features or activation maps and the teachers'."""
        if self.distillation.method == "features":
            features = widened(student_output.features)
            return hint_loss([adapter(features) for adapter in self.adapters], teacher_outputs.features, weights)
        return attention_transfer_loss(student_output.activation_maps, teacher_outputs.maps, weights)


def distillation(
    config: RunConfig, model: nn.Module, teachers: Sequence[Teacher], data: TrainingData, run_context: RunContext
) -> Distillation:
    """Return the task of a student; with `distillation.cached`, compute the missing teacher outputs first.

    Args:
        config: the configuration of the run.
        model: the student, on the CPU and not compiled yet.
        teachers: at least one.
        data: the training data.
        run_context: device, processes, stop signals and progress display.

    Raises:
        UserError: the method needs equal stages and they differ, or the cached outputs are refused.
    """
    method = config.distillation.method
    unseen = unseen_clips(config, teachers, data) if config.distillation.unseen_only else None
    warn_of_untrained_classes(teachers, data, unseen)
    refuse_mixing(config.distillation, config.data.augment)
    refuse_unlabelled(config.distillation)
    live = LiveTeachers(teachers, method, run_context.device)
    if config.compile:
        live.compile(bool(config.hardware.cuda_graphs))
    if compared(method) == MAPS:
        own = forward_details(model, config.input_frames, torch.device("cpu")).activation_maps
        theirs = [torch.empty(1, *shape) for shape in live.clip_shapes.maps]
        refuse_other_stages([own, theirs], [config.model.name, teachers[0].path], method)
    source: OutputSource = live
    if not config.distillation.cached:
        batch = next(iter(data.sample)).to(run_context.device)
        teacher_outputs, unusable_clips = live.with_unusable_clips(data.pipeline(batch, training=True), batch)
        refuse_non_finite(teacher_outputs, live.paths, unusable_clips)
    else:
        outputs = cached_outputs(config, data, live, run_context).open()
        source = CachedTeachers(outputs, live.clip_shapes, data.sampler.indices, run_context.device)
    known, share = None, 1.0
    if config.distillation.unlabelled and config.label_fraction < 1:
        known = torch.zeros(len(data.source.store), dtype=torch.bool)
        known[torch.from_numpy(data.labelled)] = True
        share = len(data.labelled) / len(data.sampler.indices)
    class_weights = weights_of_classes(config.class_weights, data)
    return Distillation(
        model, config, source, teachers, known=known, known_share=share, class_weights=class_weights, unseen=unseen
    )


def refuse_mixing(how: DistillationConfig, augment: AugmentConfig) -> None:
    """Refuse mixed clips where they cannot be taught.

    Raises:
        UserError: the teacher outputs are those of single clips, or the method needs one label a clip.
    """
    if not augment.mixes:
        return
    module = find_method(how.method)
    remedy = "Set data.augment.mix_add=0 data.augment.mix_splice=0 data.augment.mix_axes=0"
    if how.cached:
        raise UserError(
            "Cached teacher outputs are of single clips, and data.augment mixes clips of a batch. "
            f"{remedy}, or leave --cached out: then teachers see the mixed clips."
        )
    if how.method == "dkd" or (module is not None and module.USES_LABELS):
        raise UserError(
            f"distillation.method: {how.method} needs one label for each clip, and mixed clips have two. "
            f"{remedy}, or use distillation.method=kl."
        )


def refuse_unlabelled(how: DistillationConfig) -> None:
    """Refuse clips without a label for a method that uses labels.

    Raises:
        UserError: both are chosen.
    """
    module = find_method(how.method)
    if module is not None and module.USES_LABELS and how.unlabelled:
        raise UserError(f"distillation.unlabelled needs a method without labels, and {how.method} uses them.")


def course(start: float, end: float) -> str:
    """Return a value in the first and the last epoch as text."""
    return f"{start:g}" if start == end else f"{start:g} to {end:g}"
