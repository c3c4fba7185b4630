"""The `data:` part of a configuration: what a data set is, how it is split, sampled and augmented."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval

from ..skeleton import Layout, LayoutFile, load_layout, own_layout
from ..utils.limits import LARGEST_SEED, Lengths
from ..utils.names import normal_form

Number = Annotated[int, Interval(ge=0, le=2**31 - 1)]  # of a clip's subject and the like, as a store keeps them


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

    by: Literal["subject", "camera", "setup", "file"] = "subject"
    train: list[Number] = field(default_factory=list)
    test: list[Number] = field(default_factory=list)
    test_share: Annotated[float, Interval(ge=0.0, le=0.9)] = 0.0
    seed: Annotated[int, Interval(ge=0, le=LARGEST_SEED)] = 0


@dataclass
class SelectConfig:
    """Draw a smaller data set from a larger store; an empty list selects everything. Actions count from 1."""

    setups: list[Number] = field(default_factory=list)
    actions: list[Number] = field(default_factory=list)


@dataclass
class SamplingConfig:
    """Say how a clip of any length becomes `input_frames` frames."""

    method: Literal["crop", "uniform"] = "crop"
    crop_min: Annotated[float, Interval(gt=0.0, le=1.0)] = 0.5
    crop_max: Annotated[float, Interval(gt=0.0, le=1.0)] = 1.0
    test_crop: Annotated[float, Interval(gt=0.0, le=1.0)] = 0.95
    test_draws: Annotated[int, Interval(ge=1, le=64)] = 1


@dataclass
class AugmentConfig:
    """Say how training clips are varied. Every number 0 (or empty) switches its transform off."""

    rotation_degrees: Annotated[list[Annotated[float, Interval(ge=0.0, le=180.0)]], Lengths((0, 3))] = field(
        default_factory=lambda: [17.0, 17.0, 17.0]
    )
    scale: Annotated[float, Interval(ge=0.0, le=0.9)] = 0.0
    shear: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    jitter_metres: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    mirror_probability: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0


@dataclass
class NormalizeConfig:
    """Say how clips are brought into one frame of reference, in training and evaluation alike.

    Attributes:
        face_camera: turn each clip until its first actor faces the camera in the first frame.
        scale: `unit` maps each coordinate of a clip to [-1, 1]; `none` keeps metres.
    """

    face_camera: bool = False
    scale: Literal["none", "unit"] = "none"


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
        subset_of: another data set whose store can serve, with `select` applied.
        how_to_get: what to tell somebody who has no raw files, a command on a line of its own; `{program}` in it is how
            LAST is called.
    """

    name: str = ""
    layout: str = "ntu25"
    own_layout: LayoutFile = field(default_factory=LayoutFile)
    format: str = "ntu"
    bodies: Annotated[int, Interval(ge=1, le=2)] = 2
    classes: list[str] = field(default_factory=list)
    split: str = ""
    protocols: dict[str, ProtocolConfig] = field(default_factory=dict)
    subset_of: str = ""
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

    data_placement: Literal["auto", "device", "ram", "disk"] = "auto"
    num_workers: Annotated[int, Interval(ge=0, le=256)] = 0
    pin_memory: bool = False
    prefetch_factor: Annotated[int, Interval(ge=1, le=64)] = 2
    amp_dtype: Literal["auto", "fp16", "bf16"] = "auto"
    cpu_threads: Annotated[int, Interval(ge=0, le=1024)] = 0
    cuda_graphs: bool | None = None
