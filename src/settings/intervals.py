"""The `data.intervals` part of a configuration: how long recordings become labelled clips."""

from dataclasses import dataclass, field, fields
from typing import Annotated, Literal

from ..utils.limits import Interval
from ..utils.unordered import Unordered, put_in_order

# In the unit of `IntervalsConfig.unit`.
WINDOW_SECONDS, WINDOW_FRAMES = 2.0, 60.0
Length = Annotated[float, Interval(ge=0.0, le=1e6)]


@dataclass
class IntervalsConfig:
    """Settings for cutting long recordings by a table of labelled intervals.

    Attributes:
        file: the table, or a folder of tables, relative to the data YAML; empty if each recording is one clip.
        cut: `clips`: each interval is a clip, and so are the parts of the time between them; `windows`: the whole
            recording is cut into windows, each with the label of most of its frames.
        background: the class of the time that is in no interval; empty or null leaves that time out.
        unit: the unit of the lengths below.
        window: the length of a window; 0 for 2 seconds, or 60 frames.
        stride: from the start of a window to that of the next; 0 for half a window.
        longest_background: with `cut: clips`, the longest part of the time between intervals; 0 for a window.
        point: the length of an event that has no duration in the table; 0 refuses such events.
        tiers: tiers of ELAN, or subjects of BORIS, that are read; empty for all.
    """

    file: str = ""
    cut: Literal["clips", "windows"] = "clips"
    background: str | None = "background"
    unit: Literal["seconds", "frames"] = "seconds"
    window: Length = 0.0
    stride: Length = 0.0
    longest_background: Length = 0.0
    point: Length = 0.0
    tiers: Annotated[list[str], Unordered()] = field(default_factory=list)

    def __post_init__(self) -> None:
        put_in_order(self)

    def unread(self) -> dict[str, list[str]]:
        """Return the keys that change nothing beside the others, by the circumstance that makes them so."""
        if not self.file:
            others = [each.name for each in fields(self) if each.name != "file"]
            return {"without a table of intervals: name one with --intervals FILE": others}
        if self.cut == "windows":
            return {"on windows, which have the background as it comes": ["longest_background"]}
        found = {"on clips that follow the intervals; windows are cut with data.intervals.cut=windows": ["stride"]}
        return found if self.background else {**found, "where the background is left out": ["longest_background"]}

    @property
    def window_length(self) -> float:
        """Return the length of a window in `unit`."""
        return self.window or (WINDOW_SECONDS if self.unit == "seconds" else WINDOW_FRAMES)

    @property
    def stride_length(self) -> float:
        """Return the distance of two windows in `unit`."""
        return self.stride or self.window_length / 2

    @property
    def background_length(self) -> float:
        """Return the longest part of the time between intervals in `unit`."""
        return self.longest_background or self.window_length
