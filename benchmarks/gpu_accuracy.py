"""What models reach that were trained on a GPU: on NW-UCLA where it is prepared, and on the synthetic set."""

from functools import partial
from pathlib import Path
from typing import Any

from last.data.preparation.preprocess import preprocess
from last.data.store.find_store import find_store
from last.data.synthetic.dataset import synthesize
from last.experiments.config import resolve
from last.experiments.run import train
from last.settings.data import data_settings
from last.settings.run import RunConfig
from last.utils.errors import UserError

from .gpu_plan import Check, Findings, NotHere, Setting, undisturbed

_RECORDINGS, _EPOCHS = 600, 15
_QUICK_RECORDINGS, _QUICK_EPOCHS = 24, 1
_BF16, _FP16 = ("amp=true", "hardware.amp_dtype=bf16"), ("amp=true", "hardware.amp_dtype=fp16")


def on_synthetic(setting: Setting, model: str, overrides: tuple[str, ...]) -> Findings:
    """Train on the synthetic set, which is generated the first time."""
    root = setting.work / "synthetic"
    store = root / "data" / "synthetic"
    if not store.exists():
        count = _QUICK_RECORDINGS if setting.is_quick else _RECORDINGS
        synthesize(root / "raw", count, progress=setting.progress)
        workers = 1 if setting.is_quick else 0
        preprocess(
            data_settings("synthetic"), root / "raw", store, workers=workers, partial=True, progress=setting.progress
        )
    epochs = _QUICK_EPOCHS if setting.is_quick else _EPOCHS
    flags = {"epochs": epochs, "data_root": str(root / "data")}
    return _train(setting, _config(setting, model, "synthetic", "", overrides, flags))


def on_nw_ucla(setting: Setting, model: str, overrides: tuple[str, ...], seed: int = 0) -> Findings:
    """Train on NW-UCLA by its recipe, from a prepared store below --data_root."""
    root = setting.arguments.data_root
    if root is None:
        raise NotHere("needs NW-UCLA: name the folder of prepared data with --data_root")
    flags: dict[str, Any] = {"data_root": str(root), "seed": seed}
    flags |= {"epochs": _QUICK_EPOCHS} if setting.is_quick else {}
    config = _config(setting, model, "nw_ucla", "nw_ucla", overrides, flags)
    try:
        find_store(config.data, Path(root), False)
    except UserError as error:
        raise NotHere(str(error).partition("\n")[0]) from error
    return _train(setting, config)


def _config(
    setting: Setting, model: str, dataset: str, recipe: str, overrides: tuple[str, ...], flags: dict[str, Any]
) -> RunConfig:
    small = {"batch_size": 4, "input_frames": 8} if setting.is_quick else {}
    return resolve(
        model=model,
        dataset=dataset,
        environment="local",
        recipe=recipe,
        overrides=overrides,
        flags={
            "device": setting.device.type,
            "output_root": str(setting.work / "runs"),
            "max_hours": setting.hours_left,
            **small,
            **flags,
        },
    )


def _train(setting: Setting, config: RunConfig) -> Findings:
    result = undisturbed(train(config, progress=setting.progress))
    if result.stopped is not None:
        raise NotHere(f"stopped before its end ({result.stopped.value}): give it more --minutes")
    summary = dict(result.summary)
    line = f"top-1 {summary['final_top1']:.2f} after the last epoch, {summary['best_top1']:.2f} at best"
    return Findings(line, figures=summary)


_SYNTHETIC = {"float32": (), "bf16": _BF16, "fp16": _FP16}
_TEACHER = (*_BF16, "label_smoothing=0", "batch_size=128")
CHECKS = [
    *(
        Check(f"synthetic set, nano_e in {name}", 55, partial(on_synthetic, model="nano_e", overrides=overrides))
        for name, overrides in _SYNTHETIC.items()
    ),
    *(
        Check(
            f"NW-UCLA, nano_e in {name}, seed {seed}",
            200,
            partial(on_nw_ucla, model="nano_e", overrides=overrides, seed=seed),
        )
        for seed in range(3)
        for name, overrides in (("float32", ()), ("bf16", _BF16))
    ),
    Check("NW-UCLA, small_e in bf16", 220, partial(on_nw_ucla, model="small_e", overrides=_BF16)),
    Check("teacher on NW-UCLA", 350, partial(on_nw_ucla, model="base", overrides=_TEACHER)),
]
