"""The weights of a model as a safetensors file, for the code of others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from .contract import fact_text

SUFFIX = ".safetensors"
PACKAGES = ("safetensors",)


def write_weights(path: Path, model: nn.Module, facts: Mapping[str, Any]) -> None:
    """Write the parameters and statistics of a model, under the names of its `state_dict`, with facts as metadata."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in model.state_dict().items()}
    path.write_bytes(save(tensors, {name: fact_text(value) for name, value in facts.items()}))
