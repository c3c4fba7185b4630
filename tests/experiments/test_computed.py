"""Configurations that compute the same have the same text, and others have not."""

from collections.abc import Callable

import pytest

from last.experiments.computed import computed_text
from last.settings.run import RunConfig

MakeConfig = Callable[..., RunConfig]
LONG = ("epochs=70", "warmup_epochs=10")
TAUGHT, PEERS = ("distillation.teachers=[T]",), ("distillation.peers=1",)
FLAT = ("data.layout=coco17_2d",)
SPLIT = ("validation=split",)


def text(config: RunConfig) -> str:
    return computed_text({"xsub": config})


@pytest.mark.parametrize(
    ("shared", "one", "other"),
    [
        (LONG, ("warmup_epochs=50",), ()),
        (("epochs=6",), ("warmup_epochs=5", "warmup_learning_rate=0.002"), ("warmup_epochs=0",)),
        (LONG, ("ema.last_epochs=100",), ("ema.last_epochs=70",)),
        (("momentum=0",), ("nesterov=false",), ("nesterov=true",)),
        (("data.sampling.method=crop",), ("data.sampling.test_draws=5",), ()),
        ((), ("data.augment.drop_probability=0.3",), ()),
        ((*LONG, *SPLIT), ("early_stopping.patience=70",), ()),
        (FLAT, ("data.augment.rotation_degrees=[0,0,5]",), ("data.augment.rotation_degrees=[9,60,5]",)),
        ((), ("data.augment.rotation_degrees=[]",), ("data.augment.rotation_degrees=[0,0,0]",)),
        (("epochs=9",), ("data.augment.anneal=0.05",), ("data.augment.anneal=0.1",)),
        (("data.augment.rotation_degrees=[]",), ("data.augment.anneal=0.5",), ()),
        (("epochs=1", "data.augment.anneal=0.5"), ("data.augment.mix_add=0.5",), ()),
        (("data.normalize.scale=unit",), ("data.augment.scale=0.2",), ()),
        ((), ("test_every=2", "amp=false"), ()),
        ((), ("distillation.tau=7", "distillation.alpha=0.2"), ()),
        (PEERS, ("distillation.feature_weight=2",), ()),
        (PEERS, ("distillation.alpha_of.my_student=0.2",), ("distillation.alpha_of.other=0.1",)),
        (PEERS, ("distillation.alpha_of.nano_e=0.2",), ("distillation.alpha=0.2",)),
        (PEERS, ("label_smoothing=0.2",), ("distillation.label_smoothing=0.2",)),
        (TAUGHT, ("distillation.dkd_others=2", "distillation.cache=here"), ()),
    ],
)
def test_settings_that_compute_the_same_have_the_same_text(
    tiny_config: MakeConfig, shared: tuple[str, ...], one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    first, second = tiny_config(*shared, *one), tiny_config(*shared, *other)
    assert first != second
    assert text(first) == text(second)


@pytest.mark.parametrize(
    ("shared", "one", "other"),
    [
        (LONG, ("warmup_epochs=9",), ()),
        (LONG, ("warmup_learning_rate=0.002",), ()),
        (LONG, ("ema.last_epochs=69",), ("ema.last_epochs=70",)),
        (("momentum=0.5",), ("nesterov=false",), ("nesterov=true",)),
        (("data.sampling.method=uniform",), ("data.sampling.test_draws=5",), ()),
        (("data.augment.drop_joints=0.1",), ("data.augment.drop_probability=0.3",), ()),
        ((*LONG, *SPLIT), ("early_stopping.patience=69",), ()),
        (("early_stopping.patience=2", "epochs=9", *SPLIT), ("test_every=2",), ()),
        (PEERS, ("distillation.tau=7",), ()),
        (PEERS, ("distillation.alpha_of.nano_e=0.2",), ()),
        (PEERS, ("label_smoothing=0.2",), ()),
        (TAUGHT, ("distillation.method=dkd",), ()),
        ((), ("input_roots=[elsewhere]",), ()),
        (FLAT, ("data.augment.rotation_degrees=[9,60,5]",), ("data.augment.rotation_degrees=[9,60,6]",)),
        ((), ("data.augment.rotation_degrees=[0,60,5]",), ("data.augment.rotation_degrees=[9,60,5]",)),
        (("epochs=9",), ("data.augment.anneal=0.1",), ("data.augment.anneal=0.2",)),
        ((), ("model.dropout=0.5",), ()),
    ],
)
def test_settings_that_compute_something_else_have_another_text(
    tiny_config: MakeConfig, shared: tuple[str, ...], one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert text(tiny_config(*shared, *one)) != text(tiny_config(*shared, *other))
