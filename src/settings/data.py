"""The `data:` part of a configuration: what a data set is, how it is split, sampled and augmented."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from ..skeleton import Layout, LayoutFile, LayoutMap, build_layout, build_layout_map, load_layout
from ..utils.config import data_layer, merge, section_layer
from ..utils.errors import UserError
from ..utils.limits import LARGEST_SEED, Interval, Lengths, ZeroOrAtLeast
from ..utils.names import file_name, normal_form, sharing_a_file, suggestion
from ..utils.program import PLACEHOLDER
from ..utils.unordered import Unordered, put_in_order
from .intervals import IntervalsConfig
from .splits import MOST_FOLDS

SLOWEST, FASTEST = 0.5, 1000.0  # plausible frames per second
_ROUNDING = 1e-9
FrameRate = Annotated[float, ZeroOrAtLeast(SLOWEST), Interval(ge=0.0, le=FASTEST)]
Number = Annotated[int, Interval(ge=0, le=2**31 - 1)]  # a clip's subject, camera, setup or action, as in a store
Numbers = Annotated[list[Number], Unordered()]


@dataclass
class ProtocolConfig:
    """Division of the clips into training and test clips by one property, in folds, or by a list of all clips.

    Give `train` or `test`; all other clips are in the other part. Clips for which the property is unknown (0) are in
    neither, unless a list contains 0. Or give `folds` and `fold`: the values of the property are distributed over
    folds of about equally many clips; one fold tests and the others train.

    Attributes:
        by: the property; `file` and `recording` divide clips at random, for data without metadata; clips of one long
            recording stay together. `list` names the part of every clip.
        train, test: the values of the property in each part.
        test_share: with `by: file`, the share of each class that is used for testing.
        seed: with `by: file` and with folds, the seed of the division.
        folds, fold: the number of folds, and the one that tests, from 1.
        parts: with `by: list`, one letter for each selected clip in the order of names: T training, E test, - neither.
        names: with `by: list`, a digest of these names.
    """

    by: Literal["subject", "camera", "setup", "file", "replication", "recording", "list"] = "subject"
    train: Numbers = field(default_factory=list)
    test: Numbers = field(default_factory=list)
    test_share: Annotated[float, Interval(ge=0.0, le=0.9)] = 0.0
    seed: Annotated[int, Interval(ge=0, le=LARGEST_SEED)] = 0
    folds: Annotated[int, Interval(ge=0, le=MOST_FOLDS)] = 0
    fold: Annotated[int, Interval(ge=0, le=MOST_FOLDS)] = 0
    parts: str = ""
    names: str = ""

    def __post_init__(self) -> None:
        put_in_order(self)


@dataclass
class SelectConfig:
    """Selection of a smaller data set from a larger store; an empty list selects everything. Actions count from 1."""

    setups: Numbers = field(default_factory=list)
    actions: Numbers = field(default_factory=list)
    cameras: Numbers = field(default_factory=list)
    subjects: Numbers = field(default_factory=list)

    def __post_init__(self) -> None:
        put_in_order(self)


@dataclass
class SamplingConfig:
    """Settings for sampling `input_frames` frames from a clip of any length."""

    method: Literal["crop", "uniform"] = "crop"
    crop_min: Annotated[float, Interval(gt=0.0, le=1.0)] = 0.5
    crop_max: Annotated[float, Interval(gt=0.0, le=1.0)] = 1.0
    test_crop: Annotated[float, Interval(gt=0.0, le=1.0)] = 0.95
    test_draws: Annotated[int, Interval(ge=1, le=64)] = 1

    @property
    def shortest_crop(self) -> float:
        """Return the smallest share of a clip in a training crop; the default of `crop_min` may exceed `crop_max`."""
        return min(self.crop_min, self.crop_max)

    @property
    def draws_in_a_test(self) -> int:
        """Return how often a test of the run samples each clip: `crop` reads one part of it, its centre."""
        return self.test_draws if self.method == "uniform" else 1


@dataclass
class AugmentConfig:
    """Settings for data augmentation. A value of 0 (or an empty list) disables its transform.

    Attributes:
        drop_joints, drop_limbs: the largest probability with which a joint, or a limb, of a body is missing in a whole
            clip; each clip draws its own up to that.
        drop_frames: the largest probability with which a body is not seen in a frame.
        drop_probability: the probability that a clip loses joints, limbs or frames at all; the others stay whole, so
            that a model also learns from complete clips.
        drop_axis: the probability that a clip has zeros in one of its coordinates.
        mask_crop: the largest share of a clip's frames that are missing before and after a part that stays.
        drop_body: the probability that one of the two bodies of a clip is absent.
        exchange_bodies: the probability that the second of two bodies becomes the first, which defines the origin.
        jitter_metres: the standard deviation of the noise on each coordinate. This key and the next one are in the unit
            of the data before `normalize.scale`: metres, or pixels of poses from pictures.
        drift_metres: how far, as a root mean square, each coordinate of a joint drifts from its place during a clip.
        time_warp: the largest relative change of speed within a clip.
        mix_add, mix_splice, mix_axes: the probability that a clip is mixed with another of its batch: as a weighted
            sum, one after the other, or with one coordinate of the other; see `data.loading.mixing`.
        mix_share: the largest share that the other clip has in a sum or in the frames.
        anneal: the share of the epochs, at the end, during which all of the above fall to none.
        added: augmentations of the package `data.loading.augmentations` by name, each with its settings.
    """

    rotation_degrees: Annotated[list[Annotated[float, Interval(ge=0.0, le=180.0)]], Lengths((0, 3))] = field(
        default_factory=lambda: [17.0, 17.0, 17.0]
    )
    scale: Annotated[float, Interval(ge=0.0, le=0.9)] = 0.0
    shear: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    jitter_metres: Annotated[float, Interval(ge=0.0, le=1000.0)] = 0.0
    mirror_probability: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    drop_joints: Annotated[float, Interval(ge=0.0, le=0.9)] = 0.0
    drop_limbs: Annotated[float, Interval(ge=0.0, le=0.9)] = 0.0
    drop_frames: Annotated[float, Interval(ge=0.0, le=0.9)] = 0.0
    drop_probability: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.5
    drop_axis: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    mask_crop: Annotated[float, Interval(ge=0.0, le=0.9)] = 0.0
    drop_body: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    exchange_bodies: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    drift_metres: Annotated[float, Interval(ge=0.0, le=1000.0)] = 0.0
    time_warp: Annotated[float, Interval(ge=0.0, le=0.9)] = 0.0
    mix_add: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    mix_splice: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    mix_axes: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    mix_share: Annotated[float, Interval(gt=0.0, le=0.5)] = 0.5
    anneal: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    added: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (total := self.mix_add + self.mix_splice + self.mix_axes) > 1 + _ROUNDING:
            raise UserError(
                f"data.augment: a clip is mixed in one way at most, so mix_add: {self.mix_add:g}, mix_splice: "
                f"{self.mix_splice:g} and mix_axes: {self.mix_axes:g} should add up to at most 1, not {total:g}."
            )

    @property
    def mixes(self) -> bool:
        """Tell whether clips are mixed with others."""
        return max(self.mix_add, self.mix_splice, self.mix_axes) > 0


@dataclass
class NormalizeConfig:
    """Settings for bringing clips into one frame of reference, in training and evaluation.

    Attributes:
        face_camera: rotate each clip so that its first actor faces the camera in the first frame.
        scale: `unit` maps each coordinate of a clip to [-1, 1]; `none` keeps metres.
    """

    face_camera: bool = False
    scale: Literal["none", "unit"] = "none"


# Keys of `DataConfig` that only decide what a store holds. A training reads the store and does not use them.
PREPARATION_KEYS = (
    *("format", "columns", "bodies", "fps", "source_fps"),
    *("source_layout", "layout_map", "class_map", "source_classes", "intervals"),
)
# Keys that only decide how the clips of a store are loaded. A preparation does not use them.
LOADING_KEYS = ("min_confidence", "max_gap", "copies", "sampling", "normalize", "augment")


@dataclass
class DataConfig:
    """Settings of a data set.

    Attributes:
        name: its name on the command line; its store is `<data_root>/<name>`.
        layout: the joint layout of its skeletons: a name, or in a file the path of a layout file beside it.
        own_layout: the content of that file, inserted when the configuration is read.
        source_layout, own_source_layout: the layout of the raw recordings, if their joints are mapped to `layout`.
        layout_map: joints of `layout` by name, each with a joint of `source_layout`, several whose mean it is, or null
            if it is missing. Others are mapped by the program's map for these layouts, or by equal names.
        format: the reader of its raw files.
        columns: of tables, our names of columns with those of the file; others are found by their usual names.
        min_confidence: joints of a lower confidence are missing; 0 keeps all that were recorded.
        max_gap: the longest gap of a joint, in sampled frames, that is interpolated; see `data.loading.missing`.
        fps: frames per second to which recordings of known timing are resampled; 0 keeps their own.
        source_fps: frames per second of recordings that do not tell it; 0 if unknown.
        bodies: the maximum number of bodies kept per clip.
        classes: the class names, in the order of their labels.
        class_map: classes of the recordings, each with the one of `classes` that it belongs to, or null if its clips
            are left out. Others keep their names.
        source_classes: the classes of recordings that have numbers instead of names, in the order of these numbers, if
            they are not `classes`.
        intervals: how long recordings are cut into clips, if a table labels parts of them.
        split: the default protocol.
        protocols: the known protocols by name.
        copies: what training does if test clips are copies, or near copies, of training clips: `refuse`, `warn`, or
            `allow`, which does not search for them.
        subset_of: a larger data set whose store can be used instead, with `select` applied.
        how_to_get: how to obtain the raw files, for users without them, each command on its own line; `{program}` is
            replaced by the name with which LAST was called.
    """

    name: str = ""
    layout: str = "ntu25"
    own_layout: LayoutFile = field(default_factory=LayoutFile)
    source_layout: str = ""
    own_source_layout: LayoutFile = field(default_factory=LayoutFile)
    layout_map: dict[str, list[str] | str | None] = field(default_factory=dict)
    format: str = "ntu"
    columns: dict[str, str] = field(default_factory=dict)
    bodies: Annotated[int, Interval(ge=1, le=2)] = 2
    min_confidence: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.0
    max_gap: Annotated[int, Interval(ge=0, le=64)] = 5
    fps: FrameRate = 0.0
    source_fps: FrameRate = 0.0
    classes: list[str] = field(default_factory=list)
    class_map: dict[str, str | None] = field(default_factory=dict)
    source_classes: list[str] = field(default_factory=list)
    intervals: IntervalsConfig = field(default_factory=IntervalsConfig)
    split: str = ""
    protocols: dict[str, ProtocolConfig] = field(default_factory=dict)
    copies: Literal["refuse", "warn", "allow"] = "refuse"
    subset_of: str = ""
    select: SelectConfig = field(default_factory=SelectConfig)
    how_to_get: str = ""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    normalize: NormalizeConfig = field(default_factory=NormalizeConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        """Normalise class names, so that names that differ only in the encoding of accents are equal."""
        self.classes = [normal_form(name) for name in self.classes]
        self.source_classes = [normal_form(name) for name in self.source_classes]
        mapped = {normal_form(old): new if new is None else normal_form(new) for old, new in self.class_map.items()}
        self.class_map = mapped

    @property
    def skeleton(self) -> Layout:
        """Return the joint layout.

        Raises:
            UserError: there is no such layout, or its file does not describe a tree of joints.
        """
        return _layout(self.layout, self.own_layout, f"data.layout of {self.name}")

    @property
    def recorded_classes(self) -> list[str]:
        """Return the classes of the recordings: those of the clips, before they are merged, renamed or dropped."""
        return self.source_classes or list(dict.fromkeys([*self.class_map, *self.classes]))

    @property
    def class_labels(self) -> list[int | None]:
        """Return the label of each recorded class, None if its clips are left out.

        Raises:
            UserError: a class is mapped to one that is not listed, or is not a class of the recordings.
        """
        recorded, labels = self.recorded_classes, {name: label for label, name in enumerate(self.classes)}
        problems = [
            f"data.class_map.{old}: {new!r} is not in data.classes.{suggestion(new, self.classes)}"
            for old, new in self.class_map.items()
            if new is not None and new not in labels
        ]
        problems += [
            f"data.class_map: {old!r} is not in data.source_classes.{suggestion(old, recorded)}"
            for old in self.class_map
            if old not in recorded
        ]
        problems += [
            f"data.source_classes: {name!r} is not in data.classes: map it to one of them, or to null, in class_map."
            for name in recorded
            if name not in self.class_map and name not in labels
        ]
        if problems:
            raise UserError(
                f"The classes of {self.name} cannot be used:\n" + "\n".join(f"  {each}" for each in problems)
            )
        targets = [self.class_map.get(name, name) for name in recorded]
        return [None if name is None else labels[name] for name in targets]

    @property
    def joint_map(self) -> LayoutMap | None:
        """Return the map from the layout of the raw recordings to `layout`; None if they are the same.

        Raises:
            UserError: one of the layouts does not exist, or one cannot be mapped to the other.
        """
        origin = f"data.layout_map of {self.name}"
        if self.source_layout:
            source = _layout(self.source_layout, self.own_source_layout, f"data.source_layout of {self.name}")
            return build_layout_map(source, self.skeleton, self.layout_map, origin)
        if self.layout_map:
            raise UserError(f"{origin} has no effect without data.source_layout, the layout of the raw recordings.")
        return None


def _layout(name: str, own: LayoutFile, origin: str) -> Layout:
    """Return a layout whose content is in the configuration, or that of the program with that name."""
    return build_layout(name, own, origin) if own.name and own.name == name else load_layout(name)


@dataclass
class HardwareConfig:
    """Settings for the placement of clips, the transfer of batches to the device, and computation there.

    Attributes:
        trial_kernels: ways to compute on a GPU that no GPU has shown yet: Triton kernels (`filter`, `joints`) and
            matrix products (`gates`, `subsets`).
        masked_padding: whether bodies that pad a batch for CUDA graphs stay out of BatchNorm's statistics.
        whole_step_graph: whether a step, its update included, is one CUDA graph.
    """

    data_placement: Literal["auto", "device", "ram", "disk"] = "auto"
    num_workers: Annotated[int, Interval(ge=0, le=256)] = 0
    pin_memory: bool = False
    prefetch_factor: Annotated[int, Interval(ge=1, le=64)] = 2
    amp_dtype: Literal["auto", "fp16", "bf16"] = "auto"
    cpu_threads: Annotated[int, Interval(ge=0, le=1024)] = 0
    cuda_graphs: bool | None = None
    trial_kernels: Annotated[list[Literal["filter", "joints", "gates", "subsets"]], Unordered()] = field(
        default_factory=list
    )
    masked_padding: bool = False
    whole_step_graph: bool = False

    def __post_init__(self) -> None:
        put_in_order(self)


def data_settings(named: str) -> DataConfig:
    """Return what a `--dataset` value describes: a known name, or the path of a YAML file.

    Raises:
        UserError: there is no such data set, or what describes it has unknown keys or impossible values.
    """
    layer = data_layer(named)
    config = merge(DataConfig(), [section_layer(layer, "data")])
    if problem := shared_file_problem(config.protocols):
        raise UserError(f"{layer.origin}: data.protocols: {problem}")
    return config


def how_to_prepare(named: str) -> str:
    """Return how the data set of a `--dataset` value is prepared, as a text for `how_to_get`."""
    return f"Prepare it with:\n  {PLACEHOLDER} preprocess --dataset {shlex.quote(named)} --raw DIR"


def shared_file_problem(protocols: Iterable[str]) -> str:
    """Return the problem of two protocols whose splits or runs would share a file or a folder; empty if there is none.

    It is no problem of `DataConfig`, so that the checkpoints of runs that had such protocols can still be read.
    """
    if not (pair := sharing_a_file(protocols)):
        return ""
    return f"the names {pair[0]} and {pair[1]} would give one file, {file_name(pair[0])}. Rename one of the two."
