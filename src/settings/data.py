"""The `data:` part of a configuration: what a data set is, how it is split, sampled and augmented."""

from dataclasses import dataclass, field

from ..skeleton import Layout, LayoutFile, load_layout, own_layout
from ..utils.names import normal_form
from ..utils.schema import LARGEST_SEED, setting

_NUMBERS = {"minimum": 0, "maximum": 2**31 - 1}  # of a clip's subject and the like, as a store keeps them


@dataclass
class ProtocolConfig:
    """Say which clips train and which test, by one property of a clip.

    Give `train` or `test`; the clips that are not named belong to the other part. Clips of which the property is not
    known (0) belong to neither, unless a list names 0.

    Attributes:
        by: the property; `file` divides single clips at random, for data of which nothing is known.
        train, test: its values.
        test_share: with `by: file`, the part of each class that tests.
        seed: with `by: file`, another seed chooses other clips.
    """

    by: str = setting("subject", choices=("subject", "camera", "setup", "file"))
    train: list[int] = field(default_factory=list, metadata=_NUMBERS)
    test: list[int] = field(default_factory=list, metadata=_NUMBERS)
    test_share: float = setting(0.0, minimum=0.0, maximum=0.9)
    seed: int = setting(0, minimum=0, maximum=LARGEST_SEED)


@dataclass
class SelectConfig:
    """Draw a smaller data set from a larger store; an empty list selects everything. Actions count from 1."""

    setups: list[int] = field(default_factory=list, metadata=_NUMBERS)
    actions: list[int] = field(default_factory=list, metadata=_NUMBERS)


@dataclass
class SamplingConfig:
    """Say how a clip of any length becomes `input_frames` frames."""

    method: str = setting("crop", choices=("crop", "uniform"))
    crop_min: float = setting(0.5, above=0.0, maximum=1.0)
    crop_max: float = setting(1.0, above=0.0, maximum=1.0)
    test_crop: float = setting(0.95, above=0.0, maximum=1.0)
    test_draws: int = setting(1, minimum=1, maximum=64)


@dataclass
class AugmentConfig:
    """Say how training clips are varied. Every number 0 (or empty) switches its transform off."""

    rotation_degrees: list[float] = setting(  # noqa: RUF009 - a field, whose list is copied
        [17.0, 17.0, 17.0], minimum=0.0, maximum=180.0, lengths=(0, 3)
    )
    scale: float = setting(0.0, minimum=0.0, maximum=0.9)
    shear: float = setting(0.0, minimum=0.0, maximum=1.0)
    jitter_metres: float = setting(0.0, minimum=0.0, maximum=1.0)
    mirror_probability: float = setting(0.0, minimum=0.0, maximum=1.0)


@dataclass
class NormalizeConfig:
    """Say how clips are brought into one frame of reference, in training and evaluation alike.

    Attributes:
        face_camera: turn each clip until its first actor faces the camera in the first frame.
        scale: `unit` maps each coordinate of a clip to [-1, 1]; `none` keeps metres.
    """

    face_camera: bool = False
    scale: str = setting("none", choices=("none", "unit"))


@dataclass
class DataConfig:
    """Describe a data set.

    Attributes:
        name: its name on the command line; its store lies in `<data_root>/<name>`.
        layout: the joint layout of its skeletons: a name, or in a file the path of a layout's own file beside it.
        own_layout: the content of that file, put here where it is read.
        format: the reader of its raw files.
        bodies: at most so many bodies are kept a clip.
        classes: the class names, in the order of their labels.
        split: the protocol used where none is named.
        protocols: the known protocols by name.
        drawn_from: another data set whose store can serve, with `select` applied.
        how_to_get: what to tell somebody who has no raw files, a command on a line of its own; `{program}` in it is how
            LAST is called.
    """

    name: str = ""
    layout: str = "ntu25"
    own_layout: LayoutFile = field(default_factory=LayoutFile)
    format: str = "ntu"
    bodies: int = setting(2, minimum=1, maximum=2)
    classes: list[str] = field(default_factory=list)
    split: str = ""
    protocols: dict[str, ProtocolConfig] = field(default_factory=dict)
    drawn_from: str = ""
    select: SelectConfig = field(default_factory=SelectConfig)
    how_to_get: str = ""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    normalize: NormalizeConfig = field(default_factory=NormalizeConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        """Take class names that read alike as one, however their accents are encoded."""
        self.classes = [normal_form(name) for name in self.classes]

    @property
    def skeleton(self) -> Layout:
        """Return the joint layout.

        Raises:
            UserError: there is none of that name, or its file does not describe a tree of joints.
        """
        if self.own_layout.name and self.own_layout.name == self.layout:
            return own_layout(self.own_layout, f"data.layout of {self.name}")
        return load_layout(self.layout)


@dataclass
class HardwareConfig:
    """Say where clips lie, how batches reach the device and how it computes."""

    residency: str = setting("auto", choices=("auto", "device", "ram", "disk"))
    num_workers: int = setting(0, minimum=0, maximum=256)
    pin_memory: bool = False
    prefetch_factor: int = setting(2, minimum=1, maximum=64)
    amp_dtype: str = setting("auto", choices=("auto", "fp16", "bf16"))
    cpu_threads: int = setting(0, minimum=0, maximum=1024)
    cuda_graphs: bool = False
