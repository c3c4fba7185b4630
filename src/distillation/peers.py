"""Mutual learning: several students of one model learn together, from the labels and from each other.

Deep mutual learning (Zhang, Xiang, Hospedales, Lu, CVPR 2018). No teacher has to be trained before.

Legend: N clips, K classes.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from ..data.loading.loader import Batch
from ..models.layers import widened
from ..runs.checkpoint_model import HEAD
from ..runtime.compilation import compile_where_possible
from ..runtime.run_context import RunContext
from ..settings.run import RunConfig
from ..tasks.task import TaskOutput
from ..training.classification import Classification
from ..utils.errors import UserError
from ..utils.numbers import counted
from .losses import kd_loss
from .task import course


class MutualLearning(Classification):
    """Minimise, for each network, `alpha * cross-entropy + (1 - alpha) * tau^2 * mean over the others of KL`.

    The reported network is `model`. Its peers are submodules, so that they are optimised and saved with it; they are
    not tested, averaged or exported. The others' probabilities are constants in a network's loss. The value of the
    loss is that of the reported network; its gradient is that of all networks.

    Args:
        model: the reported network.
        peers: networks of the same kind with other weights.
        config: the configuration of the run.
        class_weights: (K,) how much the label of a clip of each class counts.
    """

    terms = ("labels", "peers")

    def __init__(
        self, model: nn.Module, peers: Sequence[nn.Module], config: RunConfig, class_weights: Tensor | None = None
    ) -> None:
        super().__init__(model, config.used_label_smoothing, config.metrics, class_weights)
        self.config, self.distillation = config, config.distillation
        self.peers = nn.ModuleList(peers)
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Set alpha and tau of the epoch."""
        self.ce_weight = self._ce_weight(epoch)
        self.tau = self.distillation.temperature(epoch, self.config.epochs)

    def description(self) -> str:
        """Return a line that describes the peers."""
        last = self.config.epochs - 1
        alpha = course(self._ce_weight(0), self._ce_weight(last))
        tau = course(*(self.distillation.temperature(epoch, last + 1) for epoch in (0, last)))
        if self.distillation.label_smoothing is not None:
            tau += f", label smoothing {self.label_smoothing:g}"
        peers = counted(len(self.peers), "peer")
        return f"\n{peers} of the same model with other initial weights, alpha {alpha}, tau {tau}"

    def facts(self) -> dict[str, Any]:
        """Return the number of peers and the settings for the run's summary."""
        used = {"tau": self.distillation.temperature(0, self.config.epochs), "label_smoothing": self.label_smoothing}
        return {"peers": len(self.peers), "distillation": {**asdict(self.distillation), "used": used}}

    def forward(self, batch: Batch) -> TaskOutput:
        """Return the loss over a batch, its two terms, and the logits of the reported network."""
        logits = [
            each(batch.streams, batch.bodies, batch.body_slots, **batch.masks) for each in (self.model, *self.peers)
        ]  # (N, K) each
        with torch.autocast(logits[0].device.type, enabled=False):
            labels, peers = zip(*(self._terms(logits, number, batch) for number in range(len(logits))), strict=True)
            own, *others = (
                self.ce_weight * of_labels + (1 - self.ce_weight) * of_peers
                for of_labels, of_peers in zip(labels, peers, strict=True)
            )
            of_others = torch.stack(others).sum()
            loss = own + (of_others - of_others.detach())  # NaN where either is not finite
        return TaskOutput(loss, logits[0], {"labels": labels[0], "peers": peers[0]})

    def _terms(self, logits: Sequence[Tensor], number: int, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of one network by the labels, and by the others; `logits` are those of all networks."""
        own = widened(logits[number])
        others = [widened(each.detach()) for place, each in enumerate(logits) if place != number]
        divergences = [kd_loss(own, (each / self.tau).log_softmax(dim=1), self.tau) for each in others]
        return self.label_loss(logits[number], batch), torch.stack(divergences).mean()

    def _ce_weight(self, epoch: int) -> float:
        return self.distillation.ce_weight(self.config.model.name, epoch, self.config.epochs)


def mutual_learning(
    config: RunConfig,
    model: nn.Module,
    peers: Sequence[nn.Module],
    run_context: RunContext,
    class_weights: Tensor | None = None,
) -> MutualLearning:
    """Return the task of networks that learn from each other.

    Args:
        config: the configuration of the run.
        model: the reported network, on the CPU and not compiled yet.
        peers: new networks of the same kind.
        run_context: device, processes, stop signals and progress display.
        class_weights: (K,) how much the label of a clip of each class counts.

    Raises:
        UserError: the normalisations are to be those of whole batches over several processes.
    """
    if config.distributed.sync_batchnorm and run_context.world.size > 1:
        raise UserError(
            "distributed.sync_batchnorm is of one network, and with distillation.peers there are several. Set one of "
            "them off: distributed.sync_batchnorm=false or distillation.peers=0."
        )
    if config.init_from:  # all begin with its backbone, each with a classifier of its own
        backbone = {name: value for name, value in model.state_dict().items() if not name.startswith(HEAD)}
        for each in peers:
            each.load_state_dict({**each.state_dict(), **backbone})
    if config.compile:
        for each in peers:
            compile_where_possible(each, run_context.device, bool(config.hardware.cuda_graphs))
    return MutualLearning(model, peers, config, class_weights)
