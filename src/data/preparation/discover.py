"""Describe recordings without a data YAML: their classes, their layout, and a protocol that their subjects allow."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...settings.data import DataConfig, ProtocolConfig
from ...settings.intervals import IntervalsConfig
from ...settings.splits import PROPERTIES
from ...utils.errors import UserError
from ...utils.names import alike, normal_form
from ...utils.numbers import counted
from ..store.recordings import LEFT_OUT
from .formats import BadClip, Entry, FindsClasses, Reader, Source, get_reader, list_formats, reader_of
from .formats.clip_builder import ClipMetadata
from .formats.listing import tell_of_large
from .formats.other_layouts import flat_layout
from .intervals.plans import labels_in, read_plans
from .recognise import open_recordings

_TRIED = 5  # recordings that are read to find the layout
_TEST_SHARE = 0.25  # of the subjects, or of each class
_LAYOUTS = ("own_layout", "own_source_layout")  # the content of files, which the YAML names
MOST_CLASSES = 5000  # more are hardly meant
PARTS = {"train", "training", "val", "valid", "validation", "test", "testing", "eval"}


def discover(
    config: DataConfig,
    raw: Path,
    tables: Sequence[Path] = (),
    *,
    given: Collection[str] = (),
    partial: bool = False,
) -> tuple[DataConfig, list[str]]:
    """Return the description of the recordings in `raw`, and sentences about what was found.

    Args:
        config: a name, the format and the layout, and whatever else is known.
        raw: the recordings.
        tables: the tables of their intervals, if parts of them are labelled.
        given: keys of the data set by dotted name whose values the user has chosen, even if they are the defaults.
        partial: whether the recordings need not suffice for a training, such as new clips for testing.

    Raises:
        UserError: the format does not tell the classes, there are no recordings, or the classes cannot be meant.
    """
    if not raw.exists():
        raise UserError(f"There is no raw folder {raw}.")
    tell_of_large(raw)
    if not config.classes:
        config = _with_classes(config, raw, tables)
    config = _with_layout(config, raw, tables)
    reader = reader_of(config, tables)
    with _without_warnings():  # the preparation gives them
        entries = reader.entries(raw)
    if tables:
        parts = _parts_of_recordings(config, reader, entries, tables)
        kept: list[ClipMetadata] = [*parts]
        noun, number = "recording", len({part.recording for part in parts})
        if not partial and not config.protocols:
            _refuse_one_recording(number, tables)
    else:
        assert isinstance(reader, FindsClasses)
        found = [reader.metadata(entry) for entry in entries]
        labels = config.class_labels
        kept = [replace(each, label=label) for each in found if (label := labels[each.label]) is not None]
        noun, number = "clip", len(kept)
        if not partial and not config.protocols:
            _refuse_single_clips(kept, raw)
    about = [f"Found: {counted(number, noun)} of {counted(len(config.classes), 'class')}, layout {config.layout}."]
    if not config.protocols:
        name, protocol, sentence = _protocol(kept)
        config = replace(config, protocols={name: protocol}, split=config.split or name)
        about.append(sentence)
    if config.skeleton.coordinates == 2 and "normalize.scale" not in given:  # pixels
        config = replace(config, normalize=replace(config.normalize, scale="unit"))
    return config, about


def values_told(config: DataConfig, raw: Path, by: str) -> set[int] | None:
    """Return the values of a property, such as the camera, that file names or table columns give for `raw`.

    Args:
        config: how they are read; their classes need not be known.
        raw: the recordings.
        by: one of `PROPERTIES`, such as `camera`.

    Returns:
        None if it is not a property, or the recordings cannot be listed, or have to be read to know it.
    """
    if by not in PROPERTIES:
        return None
    try:
        with _without_warnings():  # the preparation gives them
            reader, entries, _ = open_recordings(config, raw)
            if not isinstance(reader, FindsClasses):
                return None
            return {getattr(reader.metadata(entry), by) for entry in entries} - {0}
    except (UserError, BadClip, KeyError):  # the preparation says why
        return None


def described(
    config: DataConfig, layout_files: Mapping[str, str], given: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, object]:
    """Return the values of a data YAML that describe the data set.

    Args:
        config: the data set.
        layout_files: the paths of its own layouts, by the keys `layout` and `source_layout`.
        given: what the user has set under `data`, which is written too, though the preparation does not need all of it.
    """
    protocols = {
        name: {key: value for key, value in vars(rule).items() if value not in ([], 0, "")}
        for name, rule in config.protocols.items()
    }
    defaults = vars(IntervalsConfig())
    values = {
        "name": config.name,
        "layout": layout_files.get("layout") or config.layout,
        "format": config.format,
        "columns": config.columns,
        "bodies": config.bodies,
        "fps": config.fps,
        "source_fps": config.source_fps,
        "intervals": {key: value for key, value in vars(config.intervals).items() if value != defaults[key]},
        "classes": config.classes,
        "class_map": config.class_map,
        "split": config.split,
        "protocols": protocols,
        "normalize": {"scale": config.normalize.scale},
    }
    written: dict[str, Any] = {key: value for key, value in values.items() if value not in ({}, 0.0)}
    for key, value in _values_of(config, given).items():
        if key not in values:
            written[key] = layout_files.get(key) or value
        elif is_dataclass(getattr(config, key)):
            written[key] = {**value, **written.get(key, {})}
    return {"data": written}


def _values_of(settings: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values in some settings of the keys that are given, without the content of layout files."""
    found = {}
    for key, value in given.items():
        if key not in _LAYOUTS:
            own = getattr(settings, key)
            found[key] = _values_of(own, value) if is_dataclass(own) and isinstance(value, Mapping) else own
    return found


def _with_classes(config: DataConfig, raw: Path, tables: Sequence[Path]) -> DataConfig:
    """Return the description with its classes; with the layout of two coordinates if labels are found with it only."""
    if tables:
        return replace(config, classes=_classes_of_intervals(config, tables))
    flat = flat_layout(config.layout) if config.joint_map is None else ""
    try:
        return replace(config, classes=_classes(config, raw))
    except UserError:
        if not flat:
            raise
        try:  # a table whose columns do not fit the layout cannot be read at all
            return replace(config, layout=flat, classes=_classes(replace(config, layout=flat), raw))
        except UserError:
            pass
        raise


def _classes(config: DataConfig, raw: Path) -> list[str]:
    """Return the classes of the recordings, with `config.class_map` applied, in the order of their names."""
    reader = reader_of(config)
    if not isinstance(reader, FindsClasses):
        known = [name for name in list_formats() if isinstance(get_reader(name, _source_of(config)), FindsClasses)]
        raise UserError(
            f"Recordings of the format {config.format} do not name their classes: describe them in a YAML, and name it "
            f"with --dataset. Without one, these formats can be prepared: {', '.join(known)}."
        )
    with _without_warnings():
        found = [normal_form(name) for name in reader.find_classes(raw)]
    targets = [config.class_map.get(name, name) for name in found]
    classes = sorted({name for name in targets if name is not None})
    if not classes:
        example = next((path.name for path in sorted(raw.glob("*")) if path.is_file()), "clip.npy")
        raise UserError(
            f"There are no class folders, or labels, in {raw}. Put the recordings of each class into a folder with its "
            f"name, such as {raw / 'wave' / example}; a table needs a column 'label'. Long recordings "
            "of several actions need a table of their labelled parts: --intervals FILE."
        )
    if {name.casefold() for name in classes} <= PARTS:
        raise UserError(
            f"{', '.join(classes)} in {raw} are parts, not classes: put the clips of each class into one folder, "
            "such as class_name/train_clip.npy, and give the parts as a protocol in a data YAML."
        )
    _refuse_number_of_classes(classes, raw)
    for first, other in alike(classes):
        raise UserError(
            f"The classes {first!r} and {other!r} differ only in case or accents. If they are the same, merge them "
            f"with --set 'data.class_map={{{other}: {first}}}'; otherwise list both in a data YAML."
        )
    return classes


def _refuse_number_of_classes(classes: Sequence[str], raw: Path) -> None:
    """Refuse one class, and more classes than are plausible, since labels and clips must have been confused.

    Raises:
        UserError: the message says what to do.
    """
    if len(classes) == 1:
        named = "The class folders are those directly in it. " if raw.is_dir() else ""
        raise UserError(
            f"There is one class only in {raw}, {classes[0]!r}: at least two are needed to train. {named}Add clips of "
            "another movement, or of a class for everything else."
        )
    if len(classes) > MOST_CLASSES:
        raise UserError(
            f"There are {len(classes):,} classes in {raw}, such as {classes[0]!r}; at most {MOST_CLASSES:,} are "
            "trained. Do the folders, or the labels, name the clips instead of their classes? Put the clips of each "
            "class into one folder, or give a table a column with the class of each clip."
        )


def _refuse_one_recording(recordings: int, tables: Sequence[Path]) -> None:
    """Refuse a single long recording, whose clips all train or all test.

    Raises:
        UserError: there is one recording only.
    """
    if recordings == 1:
        raise UserError(
            f"{tables[0]} labels one recording only. The clips of a recording stay together, so that none would be "
            "left to test on. Label a second recording, or cut this one into several, each with its own rows."
        )


def _refuse_single_clips(clips: Sequence[ClipMetadata], raw: Path) -> None:
    """Refuse clips of which none is left to test once each class has one to train on.

    Raises:
        UserError: no class has two clips.
    """
    labels = [clip.label for clip in clips]
    if labels and len(set(labels)) == len(labels):
        raise UserError(
            f"Each class in {raw} has one clip only: a class needs one to train on and another to test, and some tens "
            "to be learned. Record more clips, or cut long ones into several."
        )


def _classes_of_intervals(config: DataConfig, tables: Sequence[Path]) -> list[str]:
    """Return the classes in the tables of intervals, with `config.class_map` applied, the background last."""
    targets = [config.class_map.get(name, name) for name in labels_in(config, tables)]
    background = config.intervals.background
    last = [normal_form(background)] if background else []
    classes = sorted({name for name in targets if name is not None} - {*last})
    if len(classes) + len(last) < 2:
        raise UserError(
            f"{tables[0]} has {counted(len(classes), 'class')}: at least two are needed to train. One alone can be "
            "told from data.intervals.background."
        )
    return [*classes, *last]


@dataclass(frozen=True)
class _Part(ClipMetadata):
    """A class that occurs in a long recording, and the number of the recording."""

    recording: int = 0


def _parts_of_recordings(
    config: DataConfig, reader: Reader, entries: Sequence[Entry], tables: Sequence[Path]
) -> list[_Part]:
    """Return the classes of each recording that has a plan, the background among them."""
    plans = read_plans(config, tables, entries)
    parts = []
    for number, entry in enumerate(entry for entry in entries if entry.name in plans.of):
        plan = plans.of[entry.name]
        known = reader.metadata(entry) if isinstance(reader, FindsClasses) else ClipMetadata(0)
        labels = {each.label for each in plan.intervals} | {plans.background}
        subject = plan.subject or known.subject
        parts += [_Part(label, subject, recording=number) for label in sorted(labels - {LEFT_OUT})]
    return parts


def _source_of(config: DataConfig) -> Source:
    return Source(config.skeleton, config.bodies, ())


def _with_layout(config: DataConfig, raw: Path, tables: Sequence[Path]) -> DataConfig:
    """Return the layout with two coordinates instead of three if the first recordings have two, as with pixels."""
    flat = flat_layout(config.layout)
    if config.joint_map is not None or not flat or _reads_some(config, raw, tables):
        return config
    flattened = replace(config, layout=flat)
    return flattened if _reads_some(flattened, raw, tables) else config


def _reads_some(config: DataConfig, raw: Path, tables: Sequence[Path]) -> bool:
    """Tell whether one of the first recordings can be read."""
    reader = reader_of(config, tables)
    try:
        with _without_warnings():
            entries = reader.entries(raw)
        return any(_is_readable(reader, entry) for entry in entries[:_TRIED])
    except UserError:
        return False


def _is_readable(reader: Reader, entry: Entry) -> bool:
    try:
        reader.read(entry)
    except BadClip:  # also one without a body, which fits any layout
        return False
    return True


def _protocol(clips: Sequence[ClipMetadata]) -> tuple[str, ProtocolConfig, str]:
    """Return the name of a protocol, the protocol, and a sentence about it.

    The last quarter of the subjects test, if each class keeps clips to train on. Without several known subjects,
    or if each class has its own, single clips are divided.
    """
    subjects = sorted({clip.subject for clip in clips} - {0})
    unknown = sum(clip.subject == 0 for clip in clips)
    test: list[int] = []
    if len(subjects) > 1 and not unknown:
        classes = {clip.label for clip in clips}
        for subject in reversed(subjects):
            chosen = {*test, subject}
            if {clip.label for clip in clips if clip.subject not in chosen} == classes:
                test.append(subject)
            if len(test) >= max(1, round(_TEST_SHARE * len(subjects))):
                break
    if test:
        test.sort()
        many = "" if len(test) == 1 else "s"
        sentence = f"Protocol xsub: subject{many} {', '.join(map(str, test))} of {len(subjects)} for testing."
        return "xsub", ProtocolConfig("subject", test=test), sentence
    reason = "no subject is known" if not subjects else "some subjects are unknown" if unknown else "one subject only"
    if len(subjects) > 1 and not unknown:
        reason = "no subject can be spared, since some class would keep no clip to train on"
    sentence = f"Protocol file: a quarter of each class for testing, at random ({reason})."
    return "file", ProtocolConfig("file", test_share=_TEST_SHARE), sentence


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence the readers while recordings are listed more than once."""
    logger = logging.getLogger(__package__)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
