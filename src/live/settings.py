"""Settings of recognition in a stream."""

from dataclasses import dataclass, fields

from ..utils.errors import UserError

MOST_BODIES = 100
_MOST_SECONDS = 60.0


@dataclass(frozen=True)
class LiveSettings:
    """Settings of recognition in a stream. Times are in seconds, probabilities from 0 to 1.

    Attributes:
        window: the time that is classified, up to the newest frame; less where a person has been there for less.
        shortest: a person who has been there for less is not classified yet.
        every: a person is classified at every `every`-th of their frames.
        smoothing: the time constant of the average over the last probabilities; 0 for none.
        threshold: an action starts when its probability reaches this; 0 for the thresholds in the file, or 0.5 where it
            has none.
        release: an action ends when its probability falls below this share of its threshold.
        onset, offset: how long a probability has to be above or below for an action to start or to end.
        bridge: how long a person may be missing without being lost.
        largest_jump: a frame that is further ahead than this begins a new stream.
        most_bodies: further people are not classified.
        rate: frames per second to which what was seen is resampled; 0 for that of the file, or 30 where it has none.
    """

    window: float = 2.0
    shortest: float = 0.4
    every: int = 5
    smoothing: float = 0.3
    threshold: float = 0.0
    release: float = 0.7
    onset: float = 0.2
    offset: float = 0.4
    bridge: float = 0.5
    largest_jump: float = 10.0
    most_bodies: int = 20
    rate: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that are impossible.

        Raises:
            UserError: a value is; the message names all of them.
        """
        limits = dict.fromkeys(("shortest", "smoothing", "onset", "offset", "bridge"), (0.0, _MOST_SECONDS))
        limits |= {"window": (0.1, _MOST_SECONDS), "largest_jump": (0.1, 3600.0), "every": (1, 1000)}
        limits |= {
            "threshold": (0.0, 1.0),
            "release": (0.0, 1.0),
            "most_bodies": (1, MOST_BODIES),
            "rate": (0.0, 240.0),
        }
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        wrong = [
            f"{name}: {value!r} should be a number from {limits[name][0]:g} to {limits[name][1]:g}"
            for name, value in values.items()
            if not _is_number(value) or not limits[name][0] <= value <= limits[name][1]
        ]
        wrong += [f"{name}: {values[name]!r} should be a whole number" for name in ("every", "most_bodies")
                  if _is_number(values[name]) and values[name] % 1]  # fmt: skip
        if wrong:
            raise UserError("Live recognition: " + "; ".join(wrong) + ".")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
