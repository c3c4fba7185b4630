"""What an option that does not exist may have meant: another option, or a configuration key."""

import difflib
from collections.abc import Sequence
from dataclasses import asdict

_NEAR = 0.7

# What other programs call an option, or a key, of ours.
_CALLED_ELSEWHERE = {
    "lr": "learning_rate",
    "base_lr": "learning_rate",
    "wd": "weight_decay",
    "workers": "hardware.num_workers",
    "num_worker": "hardware.num_workers",
    "threads": "hardware.cpu_threads",
    "frames": "input_frames",
    "window_size": "input_frames",
    "num_epoch": "--epochs",
    "max_epochs": "--epochs",
    "bs": "--batch_size",
    "fp16": "--amp",
    "half": "--amp",
    "gpu": "--device",
    "gpus": "--device",
    "data": "--dataset",
    "data_path": "--data_root",
    "work_dir": "--output_root",
    "output_dir": "--output_root",
    "weights": "--checkpoint",
    "pretrained": "--init_from",
    "ckpt": "--checkpoint",
    "protocol": "--split",
    "benchmark": "--split",
}


def suggestion(flag: str, value: str, options: Sequence[str]) -> str:
    """Return what an unknown option should probably be, as one types it; empty where nothing is near.

    Args:
        flag: the option, with its dashes.
        value: what was given with it, if anything was.
        options: those that the command has; where `--set` is among them, any configuration key can be set.
    """
    name = flag.lstrip("-")
    keys = _keys() if "--set" in options else []
    meant = _CALLED_ELSEWHERE.get(name, "")
    if meant in options:
        return meant
    by_leaf = {key.rpartition(".")[2]: key for key in reversed(keys)}
    key = meant if meant in keys else name if name in keys else by_leaf.get(name, "")
    if key:
        return f"--set {key}={value or 'VALUE'}"
    near = difflib.get_close_matches(f"--{name}", [*options, *(f"--{leaf}" for leaf in by_leaf)], n=1, cutoff=_NEAR)
    if not near or near[0] in options:
        return near[0] if near else ""
    return f"--set {by_leaf[near[0].lstrip('-')]}={value or 'VALUE'}"


def _keys() -> list[str]:
    """Return the configuration keys that a user may set, the most common first, with dots between sections."""
    from ..data.config import DataConfig
    from ..utils.config import flat, named_layer

    layers = [named_layer("training", "default", "file"), named_layer("environment", "local", "file")]
    files = [key for layer in layers for key in flat(layer.values)]
    return [*files, *(f"data.{key}" for key in flat(asdict(DataConfig())))]
