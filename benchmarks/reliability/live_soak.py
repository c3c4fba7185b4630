"""Follow several people in real time for minutes, and report latencies and memory.

python benchmarks/reliability/live_soak.py student.onnx --people 10 --minutes 10
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from last.deploy.recognizer import Recognizer
from last.live.settings import LiveSettings
from last.live.stream import StreamRecognizer
from last.utils.errors import UserError

_SPACING_M = 2.0
_FRAMES = 300  # of movement, repeated


def resident_mib() -> float:
    """Return the memory of this process in MiB, from Linux."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def movement(people: int, joints: int, coordinates: int) -> NDArray[np.float32]:
    """Return smooth random movements (F, M, V, C) of people who stand apart."""
    random = np.random.default_rng(0)
    phases = random.uniform(0, 2 * np.pi, (people, joints, coordinates))
    rates = random.integers(1, 6, (people, joints, coordinates))
    angles = 2 * np.pi * rates * np.arange(_FRAMES)[:, None, None, None] / _FRAMES + phases
    places = np.arange(people)[:, None, None] * np.eye(1, coordinates)[0] * _SPACING_M
    bodies = random.normal(0, 0.4, (people, joints, coordinates))
    return np.asarray(bodies + 0.1 * np.sin(angles) + places, np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print the figures; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="an exported file")
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args(arguments)
    try:
        stream = StreamRecognizer(Recognizer(options.model, 1), LiveSettings())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    layout = stream.recognizer.facts.layout
    frames = movement(options.people, layout.num_joints, layout.coordinates)
    names = list(range(options.people))
    began, taken, memory = time.monotonic(), [], []
    busy = time.process_time()
    for number in range(round(options.minutes * 60 * options.fps)):
        due = began + number / options.fps
        time.sleep(max(0.0, due - time.monotonic()))
        stream.push(frames[number % _FRAMES], names, number / options.fps)
        taken.append(time.monotonic() - due)
        if number % round(30 * options.fps) == 0:
            memory.append(resident_mib())
    busy = (time.process_time() - busy) / (time.monotonic() - began)
    low, middle, high = 1e3 * np.percentile(taken, [50, 99, 99.9])
    print(f"{options.people} people, {options.fps:g} frames a second, {options.minutes:g} minutes")
    print(f"from a frame's time to its events: median {low:.1f}, 99 % {middle:.1f}, 99.9 % {high:.1f} ms, "
          f"largest {1e3 * max(taken):.1f}")  # fmt: skip
    at = [memory[0], memory[min(1, len(memory) - 1)], memory[len(memory) // 2], memory[-1]]
    listed = ", ".join(f"{each:.1f}" for each in at)
    print(f"memory at once, after 30 s, half and all of the time: {listed} MiB; histories {stream.nbytes / 2**20:.1f}")
    print(f"processor: {100 * busy:.0f} % of a core; dropped: {dict(stream.dropped)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
