"""`live`: recognise what several people do in a stream of frames."""

import argparse
import json
import logging
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..deploy.arrays import array_of_clip
from ..deploy.json_lines import numbered_lines
from ..deploy.recognizer import Recognizer
from ..live.frames import LONGEST_FRAME_BYTES, Frame, frame_of_line
from ..live.settings import MOST_BODIES, LiveSettings
from ..live.stream import Event, StreamRecognizer
from ..utils.errors import UserError
from ..utils.system_errors import reason
from .live_socket import messages_of
from .live_view import LiveView
from .options import check_bounds, examples
from .predict import rate
from .terminal import console, remark, say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..data.store.clip import Clip

_logger = logging.getLogger(__name__)
_Given = TypeVar("_Given", Frame, Frame | UserError)

_LINES = (".jsonl", ".ndjson")  # of frames
_LONGEST_PAUSE_S = 60.0
_RATE = 30.0  # frames per second, where neither the recording nor the model has a rate
_OF_A_RECORDING: dict[str, object] = {"format": None, "layout": None, "source_fps": 0.0, "speed": 1.0}  # and defaults
_MOST_ERRORS = 20  # that are shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    defaults = LiveSettings()
    parser.add_argument(
        "--model", dest="model_path", required=True, metavar="FILE", help="an exported file, .onnx or .xml"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--play", metavar="RECORDING", help="play a recording at its own rate, instead of reading standard input"
    )
    instead.add_argument(
        "--connect", metavar="URL", help="read frames from a WebSocket, ws:// or wss://, one in each message"
    )
    parser.add_argument("--format", metavar="F", help="format of the recording, if it is not recognised")
    parser.add_argument("--layout", metavar="L", help="its joint layout, if it is not the model's")
    parser.add_argument("--source_fps", type=rate, default=0.0, metavar="FPS", help="its frame rate, if it has none")
    parser.add_argument(
        "--speed", type=float, default=1.0, metavar="X", help="play X times as fast; 0: without waiting (default: 1)"
    )
    parser.add_argument(
        "--window", type=float, default=defaults.window, metavar="S",
        help=f"seconds that are classified (default: {defaults.window:g})",
    )  # fmt: skip
    parser.add_argument(
        "--every", type=int, default=defaults.every, metavar="N",
        help=f"classify a person at every N-th of their frames (default: {defaults.every})",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=float, default=0.0, metavar="P",
        help="probability at which an action starts (default: those in the file, else 0.5)",
    )  # fmt: skip
    parser.add_argument(
        "--most_bodies", type=int, default=defaults.most_bodies, metavar="N",
        help=f"people that are followed at most, up to {MOST_BODIES} (default: {defaults.most_bodies})",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print events as JSON lines, also on a terminal")
    parser.epilog = examples(
        """
        {program} live --model student.onnx
        {program} live --model student.onnx --play S001C001P001R001A050.skeleton
        {program} live --model student.onnx --play day.csv --speed 0 --json
        {program} live --model student.onnx --connect ws://127.0.0.1:9000/frames
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Recognise until the stream ends; return the exit code, 2 if a frame could not be used."""
    check_bounds(arguments, speed=(0, 1000))
    _refuse_contradictions(arguments)
    settings = LiveSettings(
        window=arguments.window,
        every=arguments.every,
        threshold=arguments.threshold,
        most_bodies=arguments.most_bodies,
    )
    stream = StreamRecognizer(Recognizer(arguments.model_path, 1), settings)
    frames = _frames(arguments, stream.recognizer)
    draws = console().is_terminal and not arguments.json
    with LiveView(stream) if draws else _JsonLines() as view:
        errors = _recognise(stream, frames, view)
    return 2 if errors else 0


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    given = [name for name, default in _OF_A_RECORDING.items() if getattr(arguments, name) != default]
    if given and not arguments.play:
        raise UserError(f"--{given[0]} describes the recording of --play: name one, or omit it.")


def _recognise(
    stream: StreamRecognizer, frames: Iterable[tuple[str, Frame | UserError]], view: "LiveView | _JsonLines"
) -> int:
    """Show what the frames bring, also if their source breaks off; return how many could not be used."""
    errors = 0
    try:
        for where, frame in frames:
            try:
                if isinstance(frame, UserError):
                    raise frame
                view.show(stream.push(frame.joints, frame.body, frame.time, frame.confidence))
            except UserError as error:
                errors += 1
                if errors <= _MOST_ERRORS:
                    _logger.error("%s: %s", where, error)
    finally:
        view.show(stream.finish())
        _report(stream, errors)
    return errors


class _JsonLines:
    """Print events as JSON, one a line, each at once."""

    def __enter__(self) -> "_JsonLines":
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: every line is written already."""

    def show(self, events: Sequence[Event]) -> None:
        for event in events:
            values = {
                key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(event).items()
            }
            say(json.dumps({key: value for key, value in values.items() if value is not None}), flush=True)


def _report(stream: StreamRecognizer, errors: int) -> None:
    """Say on stderr what was not used."""
    if errors > _MOST_ERRORS:
        _logger.error("%d more were no frames", errors - _MOST_ERRORS)
    dropped = {name: count for name, count in stream.dropped.items() if count and name != "absent"}
    if dropped:
        listed = ", ".join(f"{count} {name}" for name, count in sorted(dropped.items()))
        _logger.warning("frames of a person that were not used: %s", listed)


def _frames(arguments: argparse.Namespace, recognizer: Recognizer) -> Iterator[tuple[str, Frame | UserError]]:
    """Return the frames, or what is wrong with one, each with its place in the source."""
    if arguments.play and Path(arguments.play).suffix.lower() in _LINES:
        return _replayed(arguments)
    if arguments.play:
        return _played(arguments, recognizer)
    if arguments.connect:
        messages = messages_of(arguments.connect, LONGEST_FRAME_BYTES)
        return _parsed("message", enumerate(messages, 1))
    if sys.stdin.isatty():
        remark('Reading frames from standard input, such as {"joints": [[x, y, z], ...]}; --play plays a recording.')
    return _parsed("line", numbered_lines(sys.stdin.buffer, LONGEST_FRAME_BYTES))


def _parsed(kind: str, texts: Iterable[tuple[int, bytes | None]]) -> Iterator[tuple[str, Frame | UserError]]:
    """Yield the frame of each text, or what is wrong with it."""
    for number, text in texts:
        where = f"{kind} {number}"
        try:
            yield where, frame_of_line(text)
        except UserError as error:
            yield where, error


def _replayed(arguments: argparse.Namespace) -> Iterator[tuple[str, Frame | UserError]]:
    """Yield the frames of a file of JSON lines, each at its time; one without a time as soon as the one before.

    Raises:
        UserError: it cannot be read, or an option describes it that is for other recordings.
    """
    for name in ("format", "layout", "source_fps"):
        if getattr(arguments, name) != _OF_A_RECORDING[name]:
            raise UserError(f"--{name} is for recordings; {arguments.play} has frames, as standard input has.")
    path = Path(arguments.play)
    try:
        lines = path.open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({reason(error)}).") from error
    with lines:
        frames = _parsed("line", numbered_lines(lines, LONGEST_FRAME_BYTES))
        yield from _at_their_times(frames, arguments.speed, _LONGEST_PAUSE_S)


def _played(arguments: argparse.Namespace, recognizer: Recognizer) -> Iterator[tuple[str, Frame]]:
    """Return the frames of a recording at its own rate, times the speed.

    Raises:
        UserError: it cannot be read, or holds several recordings.
    """
    clip = _recording(arguments, recognizer)
    per_second = clip.fps or arguments.source_fps
    if not per_second:
        per_second = recognizer.facts.frame_rate or _RATE
        message = "The frame rate of %s is unknown: it is played at %g frames per second; --source_fps gives another."
        _logger.warning(message, arguments.play, per_second)
    joints = array_of_clip(clip, len(clip.joints), recognizer.facts.min_confidence)[0].astype(np.float64)
    return _at_its_rate(joints, per_second, arguments.speed)


def _at_its_rate(joints: "NDArray[np.float64]", per_second: float, speed: float) -> Iterator[tuple[str, Frame]]:
    """Yield the frames of joints (M, F, V, C), waiting for the time of each; without waiting if the speed is 0."""
    bodies = tuple(range(1, len(joints) + 1))
    frames = (
        (f"frame {number + 1}", Frame(joints[:, number], bodies, number / per_second))
        for number in range(joints.shape[1])
    )
    yield from _at_their_times(frames, speed)


def _at_their_times(
    frames: Iterable[tuple[str, _Given]], speed: float, longest_s: float = math.inf
) -> Iterator[tuple[str, _Given]]:
    """Yield frames, or what is wrong with one, when their times have come, a number of times as fast.

    Args:
        frames: each with its place in the source; one without a time comes as soon as the one before.
        speed: 0 not to wait.
        longest_s: the longest wait for one of them.
    """
    began: float | None = None
    for where, frame in frames:
        if isinstance(frame, Frame) and frame.time is not None and speed:
            due = frame.time / speed
            began = time.monotonic() - due if began is None else began
            time.sleep(min(longest_s, max(0.0, began + due - time.monotonic())))
        yield where, frame


def _recording(arguments: argparse.Namespace, recognizer: Recognizer) -> "Clip":
    from .predict_input import Failure, clips_of, source_of

    asked = argparse.Namespace(
        files=[arguments.play], format=arguments.format, layout=arguments.layout, dataset=None, per_body=True,
        source_fps=arguments.source_fps, window=arguments.window, quiet=True,
    )  # fmt: skip
    found = list(clips_of(asked, source_of(asked, recognizer)))
    if len(found) != 1:
        raise UserError(f"{arguments.play} holds {len(found)} recordings: name one of them.")
    (one,) = found
    if isinstance(one, Failure):
        raise UserError(f"{Path(arguments.play)}: {one}")
    return one.clip
