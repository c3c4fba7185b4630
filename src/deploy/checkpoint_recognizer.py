"""Classify recordings with a checkpoint, by the network that `export` writes to files; this needs torch."""

from functools import partial
from pathlib import Path

import torch

from ..runs.checkpoint import read_checkpoint
from ..runs.checkpoint_model import model_of, warn_of_lagging_statistics
from ..runs.history import resolve_checkpoint
from .contract import FileFacts, Floats, Outputs
from .network import ExportedNetwork, network_of
from .recognizer import Recognizer


class CheckpointRecognizer(Recognizer):
    """A trained model that is ready to classify clips, with the logits of an exported file.

    Its probabilities are not calibrated: those of a file are, if its run held training clips out.

    Frames without a body between others count, as in a clip that a reader returns.

    Args:
        path: the file, or the folder of a run for its last epoch.
        threads: the number of CPU threads; 0 for torch's choice.

    Raises:
        UserError: the file is not a complete checkpoint of LAST of this version, or no classifier.
    """

    def __init__(self, path: Path | str, threads: int = 0) -> None:
        self.path = resolve_checkpoint(Path(path))
        checkpoint = read_checkpoint(self.path)
        warn_of_lagging_statistics(checkpoint, str(self.path), no_ema=False)
        model, config = model_of(checkpoint, str(self.path)), checkpoint.config
        data = config.data
        self.facts = FileFacts(
            model=config.model.title,
            layout=data.skeleton,
            classes=tuple(checkpoint.classes),
            bodies=data.bodies,
            frame_rate=data.fps or data.source_fps,
            min_confidence=data.min_confidence,
            all={},
        )
        if threads:
            torch.set_num_threads(threads)
        self._run = partial(_outputs, network_of(model, data, config.input_frames, keep_gaps=True))


@torch.no_grad()
def _outputs(network: ExportedNetwork, joints: Floats) -> Outputs:
    """Return the outputs for joints (N, M, F, V, C)."""
    return Outputs(*(each.numpy() for each in network(torch.from_numpy(joints))))
