"""What a model knows of itself beside its weights: what it reads, what its answers mean, what it was trained on."""

from dataclasses import dataclass, field

from ..settings.data import NormalizeConfig, SamplingConfig
from ..skeleton import Layout


@dataclass(frozen=True)
class ModelFacts:
    """Say what a model is. All but `name` and `layout` is known of a trained model only, and empty or None otherwise.

    Attributes:
        name: the model, such as `nano_e`.
        layout: the joints and bones of the skeletons that it reads.
        classes: the class names in the order of the logits.
        input_frames: T, to which clips are sampled.
        bodies: at most so many bodies of a clip were kept.
        sampling, normalize: how clips were sampled and brought into one frame of reference.
        dataset, split: the data set and the protocol that it was trained on.
        seed, epoch: of its run; epochs count from 0, and it is -1 within the first one.
    """

    name: str
    layout: Layout = field(repr=False)
    classes: tuple[str, ...] = ()
    input_frames: int | None = None
    bodies: int | None = None
    sampling: SamplingConfig | None = None
    normalize: NormalizeConfig | None = None
    dataset: str = ""
    split: str = ""
    seed: int | None = None
    epoch: int | None = None
