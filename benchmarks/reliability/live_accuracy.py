"""How well `StreamRecognizer` finds the actions of recordings whose intervals are known: accuracy, delay, false alarms.

Plays the recordings of `long_recordings.py` of some cameras frame by frame on their own clock, with the thresholds of
the exported file, and without rejection (the most probable class is always believed).
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from last.deploy.recognizer import Recognizer
from last.live.settings import LiveSettings
from last.live.stream import Event, StreamRecognizer
from last.utils.errors import UserError

_EXAMPLE = "example: python benchmarks/reliability/live_accuracy.py student.onnx data/long --cameras 3"
_NEAR_ZERO = 1e-6  # a threshold that the most probable class always reaches
_AFTER_S = 1.0  # how late after its end an action may still be recognised
_HEAD = (
    "| | right frames % | right frames of actions % | actions found | delay s, median | false alarms an hour |\n"
    "|---|---|---|---|---|---|"
)
NONE = ""

Interval = tuple[float, float, str]


@dataclass
class Counts:
    """What was found in all recordings.

    Attributes:
        frames, right, right_in_actions, frames_in_actions: numbers of frames; in a pause right is to find nothing.
        actions, found: numbers of intervals of known classes, and of those whose class started within them.
        delays: seconds from the beginning of an interval to the decision.
        false_alarms: starts of an action that is not there, also within an action that was left out of training.
        seconds: of all recordings.
    """

    frames: int = 0
    right: int = 0
    frames_in_actions: int = 0
    right_in_actions: int = 0
    actions: int = 0
    found: int = 0
    delays: list[float] = field(default_factory=list)
    false_alarms: int = 0
    seconds: float = 0.0


def play(
    recognizer: Recognizer, joints: NDArray[np.float32], fps: float, settings: LiveSettings
) -> tuple[list[Event], list[str]]:
    """Return the events of a recording (F, V, C), and what was believed at each frame."""
    stream = StreamRecognizer(recognizer, settings)
    events: list[Event] = []
    believed = []
    for number, frame in enumerate(joints):
        events += stream.push(frame, 1, number / fps)
        believed.append(stream.bodies[0].label if stream.bodies else NONE)
    return events + stream.finish(), believed


def count(
    counts: Counts, events: Sequence[Event], believed: Sequence[str], truth: Sequence[Interval], fps: float
) -> None:
    """Add what was found in a recording; `truth` has the beginning, the end and the class of each action."""
    expected = np.full(len(believed), NONE, object)
    for start, stop, label in truth:
        expected[round(start * fps) : round(stop * fps)] = label
    right = expected == np.array(believed, object)
    inside = expected != NONE
    counts.frames += len(believed)
    counts.right += int(right.sum())
    counts.frames_in_actions += int(inside.sum())
    counts.right_in_actions += int(right[inside].sum())
    counts.seconds += len(believed) / fps
    starts = [event for event in events if event.kind == "start"]
    matched: set[int] = set()
    for start, stop, label in truth:
        own = [
            number
            for number, event in enumerate(starts)
            if event.label == label and start <= event.time <= stop + _AFTER_S
        ]
        matched |= set(own)
        counts.actions += 1
        counts.found += bool(own)
        counts.delays += [starts[own[0]].time - start] if own else []
    counts.false_alarms += len(starts) - len(matched)


def recordings(folder: Path, cameras: Sequence[int]) -> Iterator[tuple[NDArray[np.float32], float, list[Interval]]]:
    """Yield the joints, the frame rate and the intervals of the recordings of some cameras; all without any."""
    with (folder / "intervals.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for path in sorted((folder / "recordings").glob("*.npz")):
        if cameras and not any(f"C{camera}_" in path.name for camera in cameras):
            continue
        with np.load(path, allow_pickle=False) as content:
            joints, fps = content["joints"].astype(np.float32), float(content["fps"])
        own = [(float(row["start"]), float(row["stop"]), row["label"]) for row in rows if row["recording"] == path.stem]
        yield joints, fps, own


def row(name: str, counts: Counts) -> str:
    """Return the figures of one way as a row of a Markdown table."""
    hours = counts.seconds / 3600
    delay = np.median(counts.delays) if counts.delays else float("nan")
    cells = [
        name,
        f"{100 * counts.right / max(1, counts.frames):.1f}",
        f"{100 * counts.right_in_actions / max(1, counts.frames_in_actions):.1f}",
        f"{counts.found} of {counts.actions}",
        f"{delay:.2f}",
        f"{counts.false_alarms / hours:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=_EXAMPLE)
    parser.add_argument("model", type=Path, help="an exported file")
    parser.add_argument("folder", type=Path, help="what long_recordings.py wrote")
    parser.add_argument("--cameras", type=int, nargs="*", default=[], help="only recordings of these cameras")
    parser.add_argument("--window", type=float, default=2.0, help="seconds that are classified (default 2)")
    parser.add_argument("--every", type=int, default=3, help="classify at every N-th frame (default 3)")
    options = parser.parse_args(arguments)
    try:
        recognizer = Recognizer(options.model, 1)
        ways = {
            "thresholds of the file": 0.0,
            "threshold 0.5": 0.5,
            "threshold 0.9": 0.9,
            "without rejection": _NEAR_ZERO,
        }
        print(_HEAD)
        for name, threshold in ways.items():
            settings = LiveSettings(window=options.window, every=options.every, threshold=threshold)
            counts = Counts()
            for joints, fps, truth in recordings(options.folder, options.cameras):
                known = [each for each in truth if each[2] in recognizer.classes]
                count(counts, *play(recognizer, joints, fps, settings), known, fps)
            print(row(name, counts), flush=True)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{counts.seconds / 60:.0f} minutes of recordings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
