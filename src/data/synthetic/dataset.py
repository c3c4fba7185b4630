"""The data set: a plan of performers, actions and cameras, and the raw NTU text of each recording."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...utils.errors import UserError
from ...utils.files import make_folder, write_error
from ...utils.leftovers import temporary_beside
from ...utils.progress import SILENT, Progress
from .actions import ACTIONS
from .body import Array
from .performer import act, sample_performer
from .recording import CAMERA_YAW, SETUPS, TRACKED, TrackedBody, record

_log = logging.getLogger(__name__)

PERFORMERS = 16
TESTED_PERFORMER = 4  # the first held-out performer of the plan; every fourth one is held out
MOST_CLIPS = 100_000
# First elements of the random seeds; performers are the same in every clip of a data set.
_PERFORMER_STREAM, _CLIP_STREAM = 1, 2

_JOINTS = 25
# Focal lengths and centres in pixels of the depth and the colour camera of a Kinect v2.
_DEPTH_CAMERA = (366.0, -366.0, 256.0, 208.0)
_COLOUR_CAMERA = (1056.0, -1056.0, 960.0, 540.0)
_ROW = " ".join(["%.7g"] * 7) + " 1 0 0 0 %d\n"  # orientations are not simulated: the unit quaternion
_BODY = f"%d 0 1 1 1 1 0 0 0 {TRACKED}\n{_JOINTS}\n" + _ROW * _JOINTS


@dataclass(frozen=True)
class PlannedClip:
    """One planned recording; all numbers count from 1, as in its file's name."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int

    @property
    def name(self) -> str:
        """Return the name that NTU RGB+D gives such a recording."""
        view, person = f"S{self.setup:03d}C{self.camera:03d}", f"P{self.performer:03d}R{self.replication:03d}"
        return f"{view}{person}A{self.action:03d}"


def synthesize(out: Path, num_clips: int, seed: int = 0, progress: Progress = SILENT) -> list[Path]:
    """Write generated recordings to `out` as raw NTU `.skeleton` files and return their paths.

    A recording depends only on `seed` and its number, not on the number of clips; `planned` returns the numbers of a
    set. Files with the same name are replaced; others are kept.

    Raises:
        UserError: a number is out of range, or a file cannot be written.
    """
    if not 1 <= num_clips <= MOST_CLIPS:
        raise UserError(f"Cannot write {num_clips} clips: choose 1 to {MOST_CLIPS}.")
    if seed < 0:
        raise UserError(f"The seed {seed} cannot be used: choose a whole number from 0 up.")
    if num_clips == 1:
        _log.warning("One recording cannot be used for both training and testing. Request at least 2 to train on them.")
    make_folder(out)
    paths = []
    with progress.task("writing recordings", total=num_clips):
        for number in planned(num_clips):
            clip = plan(number)
            paths.append(out / f"{clip.name}.skeleton")
            _replace(paths[-1], skeleton_text(generate(clip, number, seed)))
            progress.advance()
    return paths


def planned(num_clips: int) -> list[int]:
    """Return the numbers of the recordings in a set of `num_clips` recordings: the first ones of the plan.

    If these include no held-out performer, a quarter of them (at least one) is taken from such a performer instead, so
    that every set of two or more has training and test clips; the tested actions are also in the training part.
    """
    reached = (TESTED_PERFORMER - 1) * len(ACTIONS)
    if num_clips > reached:
        return list(range(num_clips))
    tested = 0 if num_clips < 2 else max(1, num_clips // 4)
    return [*range(num_clips - tested), *range(reached, reached + tested)]


def plan(number: int) -> PlannedClip:
    """Return the recording with this number, counted from 0: it iterates over classes, then over performers.

    Cameras and set-ups shift from round to round, so that every performer performs every action with each of
    them, and even a few recordings include all of them.
    """
    turn, action = divmod(number, len(ACTIONS))
    round_number, performer = divmod(turn, PERFORMERS)
    cameras = len(CAMERA_YAW)
    return PlannedClip(
        setup=(performer + performer // SETUPS + action + round_number) % SETUPS + 1,
        camera=(performer + performer // SETUPS + action + round_number) % cameras + 1,
        performer=performer + 1,
        replication=round_number // (SETUPS * cameras) + 1,
        action=action + 1,
    )


def generate(clip: PlannedClip, number: int, seed: int) -> list[TrackedBody]:
    """Return the tracked bodies of one recording."""
    random = np.random.default_rng((seed, _CLIP_STREAM, number))
    performer = sample_performer(np.random.default_rng((seed, _PERFORMER_STREAM, clip.performer)))
    scene = act(ACTIONS[clip.action - 1], performer, sample_performer(random), random)
    return record(scene, clip.camera, clip.setup, random)


def skeleton_text(bodies: Sequence[TrackedBody]) -> str:
    """Return a recording as the text of a raw NTU `.skeleton` file."""
    blocks: dict[int, list[str]] = {}
    for body in bodies:
        for frame, rows in zip(body.frames.tolist(), _rows(body), strict=True):
            blocks.setdefault(frame, []).append(_BODY % (body.identity, *rows))
    count = 1 + max(blocks)
    frames = ("".join([f"{len(seen)}\n", *seen]) for seen in (blocks.get(frame, []) for frame in range(count)))
    return "".join([f"{count}\n", *frames])


def _rows(body: TrackedBody) -> list[list[float]]:
    """Return, for each frame, all numbers of a body's joints in the order of the file."""
    numbers = [
        body.joints,
        _projected(body.joints, _DEPTH_CAMERA),
        _projected(body.joints, _COLOUR_CAMERA),
        body.states[..., None],
    ]
    table = np.concatenate(numbers, axis=-1)  # (T, V, 8)
    rows: list[list[float]] = table.reshape(len(table), -1).tolist()
    return rows


def _projected(joints: Array, camera: tuple[float, float, float, float]) -> Array:
    """Return the projections of joints (..., 3) by a pinhole camera, in pixels (..., 2) from the upper left."""
    focal, centre = np.array(camera[:2]), np.array(camera[2:])
    pixels: Array = joints[..., :2] / joints[..., 2:] * focal + centre
    return pixels


def _replace(path: Path, text: str) -> None:
    """Write `text` atomically; it is not flushed to disk, since it can be generated again."""
    temporary = temporary_beside(path)
    try:
        temporary.write_text(text, encoding="ascii", newline="\n")
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
