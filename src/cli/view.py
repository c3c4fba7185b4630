"""`view`: look at clips, as a page with a player, as an animation, or as a strip of frames."""

import argparse
import logging
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.preparation.formats import BadClip
from ..data.store.clip import Clip
from ..data.store.few_clips import clips_named, clips_of_classes, spread_over_classes
from ..data.store.played_clips import played_clip
from ..inspection.clip_source import ClipSource, find_clips
from ..plots.player import PAGE_LIMIT_BYTES, PlayedClip, Version, bytes_of, write_page
from ..utils.errors import UserError
from ..utils.files import refuse_unwritable
from ..utils.names import file_name
from ..utils.numbers import counted, file_size
from ..utils.root_folders import writable
from .folders import add_sought, sought_by
from .options import add_shared, check_bounds, examples
from .terminal import propose, remark, say

NEEDS = ("pydantic",)

_logger = logging.getLogger(__name__)
_MOST, _MOST_POSSIBLE = 24, 1000
_PROBLEMS_SHOWN = 5
_PICTURES = (".gif", ".png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    add_sought(parser)
    parser.add_argument("--clip", nargs="+", action="extend", default=[], metavar="NAME", help="the clips to show")
    parser.add_argument(
        "--classes", nargs="+", action="extend", default=[], metavar="NAME", help="show clips of these classes only"
    )
    parser.add_argument(
        "--most",
        type=int,
        default=_MOST,
        metavar="N",
        help=f"show at most N clips, spread over the classes (default: {_MOST})",
    )
    parser.add_argument(
        "--augmented", action="store_true", help="also show each clip as training sees it, beside the original"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the augmentation (default: the run's, or 0)")
    parser.add_argument("--epoch", type=int, default=0, metavar="N", help="its epoch, counted from 0 (default: 0)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the page (.html), animation (.gif) or strip of frames (.png) to write (default: ./view-NAME.html)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    add_shared(parser, "--data_root", "--output_root", "--env")
    parser.epilog = examples(
        """
        {program} view nw_ucla
        {program} view data/gestures --classes wave clap --most 10 --open
        {program} view latest --augmented --epoch 3
        {program} view S001C001P001R001A050.skeleton --out handshake.gif
        {program} view ./recordings --format folder --layout coco17
        """
    )


@dataclass(frozen=True)
class _Shown:
    """The chosen clips, each as it is stored, with the number of each."""

    clips: list[Clip]
    numbers: list[int]


def run(arguments: argparse.Namespace) -> int:
    """Write the page or the pictures, and say where; return the exit code."""
    check_bounds(arguments, most=(1, _MOST_POSSIBLE), epoch=(0, 1_000_000))
    if arguments.seed is not None:
        check_bounds(arguments, seed=(0, 2**32 - 1))
    ending = arguments.out.suffix.lower() if arguments.out else ".html"
    if ending not in {".html", ".htm", *_PICTURES}:
        raise UserError(f"--out {arguments.out} should end in .html, .gif or .png.")
    if arguments.out:
        refuse_unwritable(arguments.out)
    viewed = find_clips(sought_by(arguments))
    if arguments.augmented:
        _refuse_unknown_augmentation(viewed)
    shown = _read(viewed, _chosen(viewed, arguments, most=1 if ending in _PICTURES else arguments.most), arguments)
    augmented = _augmented(viewed, shown, arguments) if arguments.augmented else [[] for _ in shown.clips]
    played = [
        played_clip(clip, viewed.layout, viewed.class_of(clip), beside)
        for clip, beside in zip(shown.clips, augmented, strict=True)
    ]
    out: Path = arguments.out or _default_path(viewed.name)
    if ending in _PICTURES:
        return _write_pictures(out, ending, played)
    write_page(out, played, title=f"{viewed.name}, {counted(len(played), 'clip')}")
    say(f"Page: {out.absolute()} ({file_size(out.stat().st_size)}, {counted(len(played), 'clip')})")
    if arguments.open:
        if not webbrowser.open(out.absolute().as_uri()):
            _logger.warning("No browser could be started: open the page yourself.")
    else:
        propose("Open it in a browser; it needs no network.")
    return 0


def _chosen(viewed: ClipSource, arguments: argparse.Namespace, most: int) -> list[int]:
    """Return the numbers of the clips to show, and say how they were chosen."""
    if arguments.clip:
        if arguments.classes:
            raise UserError("Choose clips with --clip or --classes, not with both.")
        return clips_named(arguments.clip, viewed.names)
    among, labels = np.arange(len(viewed.names)), viewed.labels
    if arguments.classes:
        if not viewed.classes or (labels < 0).all():
            raise UserError(
                f"The classes of {viewed.where} are not known before they are read, so --classes cannot choose among "
                "them. Choose clips with --clip, or prepare them first."
            )
        among = clips_of_classes(arguments.classes, viewed.classes, labels)
        if not len(among):
            raise UserError(f"No clip in {viewed.where} is of the class {', '.join(arguments.classes)}.")
    numbers = [int(among[place]) for place in spread_over_classes(labels[among], most)]
    classes = len(np.unique(labels[numbers]))
    spread = f", spread over {counted(classes, 'class')}" if classes > 1 else ""
    some = len(numbers) < len(among)
    few = f"{len(numbers):,} of " if some else ""
    others = " --clip, --classes and --most choose others." if some else ""
    remark(f"Shown: {few}{counted(len(among), 'clip')} of {viewed.where}{spread}.{others}")
    return numbers


def _read(viewed: ClipSource, numbers: Sequence[int], arguments: argparse.Namespace) -> _Shown:
    """Return the chosen clips that can be read and fit on a page.

    Raises:
        UserError: none can be read, or clips that were named do not fit.
    """
    shown, size, problems = _Shown([], []), 0, []
    for place, number in enumerate(numbers):
        try:
            clip = viewed.read(number)
        except BadClip as error:
            problems.append(error)
            continue
        bodies, frames = clip.joints.shape[:2]
        size += bytes_of(frames, bodies, viewed.layout, with_confidence=clip.confidence is not None)
        if size > PAGE_LIMIT_BYTES:
            if arguments.clip or not shown.clips:
                raise UserError(
                    f"{clip.name} has {frames:,} frames: with it the page would have more than the "
                    f"{PAGE_LIMIT_BYTES >> 20} MiB that it may have. Choose fewer clips, or shorter ones with --clip."
                )
            left = counted(len(numbers) - place, "clip")
            _logger.warning("%s left out: the page would have more than %d MiB.", left, PAGE_LIMIT_BYTES >> 20)
            break
        shown.clips.append(clip)
        shown.numbers.append(number)
    if not shown.clips:
        listed = "\n".join(f"  {problem}" for problem in problems[:_PROBLEMS_SHOWN])
        raise UserError(f"None of the chosen clips can be read, in {viewed.where}:\n{listed}")
    for problem in problems[:_PROBLEMS_SHOWN]:
        _logger.warning("Cannot be read: %s", problem)
    if len(problems) > _PROBLEMS_SHOWN:
        _logger.warning("Cannot be read: %d more.", len(problems) - _PROBLEMS_SHOWN)
    return shown


def _refuse_unknown_augmentation(viewed: ClipSource) -> None:
    if viewed.store is None:
        raise UserError(
            "--augmented needs a prepared data set: prepare the recordings first, and name the store, the data set or "
            "a run."
        )
    if viewed.config is None:
        raise UserError(
            f"How training augments {viewed.where} is not known: name its data set or data YAML with --dataset."
        )


def _augmented(viewed: ClipSource, shown: _Shown, arguments: argparse.Namespace) -> list[list[Version]]:
    """Return, for each clip, the version of it that training sees."""
    assert viewed.store is not None and viewed.config is not None
    from ..data.loading.augmented import augmented_clips

    seed = viewed.seed if arguments.seed is None else arguments.seed
    title = f"in training: {viewed.frames} frames, seed {seed}, epoch {arguments.epoch}"
    when = {"seed": seed, "epoch": arguments.epoch, "epochs": viewed.epochs}
    clips = augmented_clips(viewed.store, shown.numbers, viewed.config, viewed.frames, **when)
    return [[Version(clip.joints, title=title, joint_mask=clip.joint_mask)] for clip in clips]


def _default_path(name: str) -> Path:
    """Return the page in the current folder, or in a temporary folder if nothing can be written here."""
    page = f"view-{file_name(name)}.html"
    here = Path.cwd()
    return Path(page) if writable(here, here, ()) else Path(tempfile.mkdtemp(prefix="last-view-")) / page


def _write_pictures(out: Path, ending: str, played: Sequence[PlayedClip]) -> int:
    """Write one picture for each version of the one clip."""
    from ..plots.skeletons import animate, draw_frames

    if len(played) > 1:
        raise UserError(
            f"A {ending} file shows one clip: choose one with --clip, or write a page with --out FILE.html."
        )
    (clip,) = played
    draw = animate if ending == ".gif" else draw_frames
    for version in clip.versions:
        is_first = version is clip.versions[0]
        path = out if is_first else out.with_name(f"{out.stem}-augmented{out.suffix}")
        title = clip.name if is_first else f"{clip.name}, in training"
        draw(
            version.joints,
            clip.layout,
            path,
            title=title,
            fps=version.fps or _as_long_as(clip.versions[0], version),
            frame_mask=version.frame_mask,
            joint_mask=version.joint_mask,
            confidence=version.confidence,
        )
        say(f"{'Animation' if ending == '.gif' else 'Frames'}: {path.absolute()} ({clip.name})")
    return 0


def _as_long_as(first: Version, version: Version) -> float:
    """Return the frames per second with which a version lasts as long as the first one; 0 if that is unknown."""
    frames, lasted = version.joints.shape[1], max(first.joints.shape[1], 1)
    return float(first.fps * frames / lasted)
