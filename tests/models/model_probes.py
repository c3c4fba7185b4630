"""What the tests of models share: random input, open gates, settled statistics."""

import torch
from torch import Tensor, nn

from last.models.multi_body import STREAMS


def random_streams(
    clips: int = 2, frames: int = 8, joints: int = 25, bodies: int = 2, coordinates: int = 3
) -> dict[str, Tensor]:
    return {name: torch.randn(clips, coordinates, frames, joints, bodies) for name in STREAMS}


def opened(model: nn.Module) -> nn.Module:
    """Move every zero-initialised gate, blend and adjacency, so that nothing hides behind a zero."""
    for name, parameter in model.named_parameters():
        if name.endswith(("alpha", "alpha_added", "A_learned", "joint_embedding")):
            nn.init.normal_(parameter, std=0.5)
    return model


def settled(model: nn.Module) -> nn.Module:
    """Give BatchNorm statistics that are not neutral, then switch to evaluation."""
    model.train()
    with torch.no_grad():
        model(random_streams())
    return model.eval()
