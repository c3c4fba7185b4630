"""The task of distillation: a student learns the labels, and what its teachers say of the same clips.

Legend: N clips.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.loading.loader import Batch
from ..data.loading.run_data import TrainingData
from ..models.classifier import ForwardDetails, SkeletonClassifier
from ..models.layers import widened
from ..runtime.run_context import RunContext
from ..settings.run import RunConfig
from ..tasks.task import TaskOutput
from ..training.classification import Classification
from ..utils.errors import UserError
from ..utils.plug_ins import settings_from
from .cache import CachedTeachers
from .cache_builder import kept_outputs
from .losses import blended, match_activity, match_apart, match_features, match_probabilities
from .methods import LOGITS, MAPS, Context, MethodModule, compared, find_method
from .teacher_outputs import Lesson, Source, refuse_broken
from .teachers import LiveTeachers, Teacher, forward_details, refuse_other_stages


class Distillation(Classification):
    """Minimise `alpha * cross-entropy + (1 - alpha) * distillation`.

    The teachers are no part of the module: nothing of theirs is trained, averaged, saved or put into training mode.

    Args:
        model: the student.
        config: of the run.
        source: what the teachers say.
        teachers: who they are.
        known: by the numbers of the store's clips whether their label may be used, bool; None where every one may.
        known_share: how many of the clips that train have such a label.
    """

    weights: Tensor
    known: Tensor | None
    terms = ("labels", "teachers")

    def __init__(
        self,
        model: nn.Module,
        config: RunConfig,
        source: Source,
        teachers: Sequence[Teacher] = (),
        *,
        known: Tensor | None = None,
        known_share: float = 1.0,
    ) -> None:
        super().__init__(model, config.label_smoothing, config.metrics)
        assert isinstance(model, SkeletonClassifier)
        self.config, self.source, self.teachers, self.known_share = config, source, teachers, known_share
        self.distillation = config.distillation
        self.method, self.settings = find_method(self.distillation.method), None
        if self.method is not None:
            values = self.distillation.method_settings
            self.settings = settings_from(self.method, values, "distillation.method_settings")
        self.looks_inside = compared(self.distillation.method) != LOGITS
        given = torch.tensor(self.distillation.weights or [1.0] * source.form.teachers, dtype=torch.float64)
        self.register_buffer("weights", (given / given.sum()).float(), persistent=False)  # (W,)
        self.register_buffer("known", known, persistent=False)
        # What maps the student's features to each teacher's width; where alpha is 1 there is nothing for it to learn.
        teaches = min(self._ce_weight(0), self._ce_weight(config.epochs - 1)) < 1
        widths = source.form.features if teaches and self.method is None else []
        self.adapters = nn.ModuleList(nn.Linear(model.num_features, width) for width in widths)
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Take up the epoch's alpha and tau."""
        self.ce_weight = self._ce_weight(epoch)
        self.tau = self.distillation.temperature(epoch, self.config.epochs)

    def description(self) -> str:
        """Return lines for people that tell who teaches, and how."""
        how, last = self.distillation, self.config.epochs - 1
        pairs = zip(self.weights.tolist(), self.teachers, strict=True)
        names = [f"taught by {each}" + ("" if weight == 1 else f", weight {weight:.2f}") for weight, each in pairs]
        alpha = _course(self._ce_weight(0), self._ce_weight(last))
        tau = _course(how.temperature(0, last + 1), how.temperature(last, last + 1))
        shown = "every clip as the student sees it"
        if how.fixed_augmentations:
            times = self.config.epochs * self.config.repeats_per_epoch / how.fixed_augmentations
            shown = f"{how.fixed_augmentations} augmented views per clip{', computed once' * how.cached}"
            shown += f", each shown {times:.3g} times"
        return "\n" + "\n".join([*names, f"method {how.method}, alpha {alpha}, tau {tau}; {shown}"])

    def facts(self) -> dict[str, Any]:
        """Return who taught, and how, for the run's summary."""
        return {"teachers": [each.facts for each in self.teachers], "distillation": asdict(self.distillation)}

    def forward(self, batch: Batch) -> TaskOutput:
        """Return the loss over a batch, its two terms, and the student's logits."""
        if self.ce_weight == 1 and not len(self.adapters) and self.known is None:
            output = super().forward(batch)  # adapters would need their gradient, be it zero
            return replace(output, terms={"labels": output.loss, "teachers": torch.zeros_like(output.loss)})
        answer = self.model(
            batch.streams, batch.bodies, batch.body_slots, **({"return_details": True} if self.looks_inside else {})
        )
        logits: Tensor = answer.logits if self.looks_inside else answer  # (N, classes)
        lesson = self.source(batch.streams, batch)
        with torch.autocast(logits.device.type, enabled=False):
            if self.method is None:
                taught = self._match_answers(widened(logits), lesson, batch.labels)
            else:
                taught = self._match_by_module(self.method, answer, lesson, batch.labels)
            if self.looks_inside and self.method is None:
                taught = taught + self.distillation.feature_weight * self._match_hints(answer, lesson)
            own = self._learn_labels(logits, batch)
            loss = self.ce_weight * own + (1 - self.ce_weight) * taught
        return TaskOutput(loss, logits, {"labels": own, "teachers": taught})

    def _ce_weight(self, epoch: int) -> float:
        return self.distillation.ce_weight(self.config.model.name, epoch, self.config.epochs)

    def _learn_labels(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy over the clips whose label may be used, as if each batch had its share of them.

        A mean over those of the batch would weigh a clip by its batch mates, and by how many processes share a batch.
        """
        if self.known is None:
            return self.cross_entropy(logits, batch.labels)
        losses = functional.cross_entropy(
            widened(logits), batch.labels, label_smoothing=self.label_smoothing, reduction="none"
        )
        return (losses * self.known[batch.indices]).mean() / self.known_share

    def _match_answers(self, logits: Tensor, lesson: Lesson, labels: Tensor) -> Tensor:
        """Return how far the student's answers are from the teachers'."""
        teacher = blended(lesson.logits, self.weights, self.tau)
        if self.distillation.method != "dkd":
            return match_probabilities(logits, teacher, self.tau)
        weights = {"target": self.distillation.dkd_target, "others": self.distillation.dkd_others}
        return match_apart(logits, teacher, labels, self.tau, **weights)

    def _match_by_module(self, method: MethodModule, answer: Any, lesson: Lesson, labels: Tensor) -> Tensor:
        """Return the loss of a method that is a module of its own."""
        inside = answer if self.looks_inside else ForwardDetails(answer, answer, [])
        maps = [widened(each) for each in inside.activation_maps]
        student = ForwardDetails(widened(inside.logits), widened(inside.features), maps)
        known = labels if method.USES_LABELS else None
        return method.loss(student, lesson, Context(self.weights, self.tau, known, self.settings))

    def _match_hints(self, answer: ForwardDetails, lesson: Lesson) -> Tensor:
        """Return how far the student's features, or its maps of activity, are from the teachers'."""
        if self.distillation.method == "features":
            features = widened(answer.features)
            return match_features([adapter(features) for adapter in self.adapters], lesson.features, self.weights)
        return match_activity(answer.activation_maps, lesson.maps, self.weights)


def distillation(
    config: RunConfig, model: nn.Module, teachers: Sequence[Teacher], data: TrainingData, run_context: RunContext
) -> Distillation:
    """Return the task of a student; where its teachers' outputs are kept, those are computed first.

    Args:
        config: of the run.
        model: the student, on the CPU and not compiled yet.
        teachers: at least one.
        data: what the run learns from.
        run_context: where it computes.

    Raises:
        UserError: the method needs stages that agree and they do not, or the kept outputs are refused.
    """
    live = LiveTeachers(teachers, config, run_context.device)
    method = config.distillation.method
    module = find_method(method)
    if module is not None and module.USES_LABELS and config.distillation.unlabelled:
        raise UserError(f"distillation.unlabelled needs a method without labels, and {method} uses them.")
    if compared(method) == MAPS:
        own = forward_details(model, config, torch.device("cpu")).activation_maps
        theirs = [torch.empty(1, *shape) for shape in live.form.maps]
        refuse_other_stages([own, theirs], [config.model.name, teachers[0].path], method)
    source: Source = live
    if not config.distillation.cached:
        batch = next(iter(data.sample)).to(run_context.device)
        lesson, excused = live.asked(data.pipeline(batch, training=True), batch)
        refuse_broken(lesson, live.paths, excused)
    else:
        outputs = kept_outputs(config, data, live, run_context).open()
        source = CachedTeachers(outputs, live.form, data.order.indices, run_context.device)
    if not (config.distillation.unlabelled and config.label_fraction < 1):
        return Distillation(model, config, source, teachers)
    known = torch.zeros(len(data.source.store), dtype=torch.bool)
    known[torch.from_numpy(data.labelled)] = True
    share = len(data.labelled) / len(data.order.indices)
    return Distillation(model, config, source, teachers, known=known, known_share=share)


def _course(start: float, end: float) -> str:
    """Return a value's course over a run, from its first to its last epoch."""
    return f"{start:g}" if start == end else f"{start:g} to {end:g}"
