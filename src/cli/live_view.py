"""What `live` draws on a terminal: who does what at present, and the last events."""

import time
from collections import deque
from collections.abc import Sequence

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..live.stream import Event, Status, StreamRecognizer
from ..utils.foreign_text import harmless
from .terminal import console

_EVENTS = 8  # shown
_PAUSE_S = 0.1  # between two pictures
_BAR = 20  # cells


class LiveView:
    """Draw the people of a stream while the block runs.

    Args:
        stream: what is shown.
    """

    def __init__(self, stream: StreamRecognizer) -> None:
        self._stream = stream
        self._events: deque[Event] = deque(maxlen=_EVENTS)
        self._live = Live(console=console(), auto_refresh=False)
        self._drawn = 0.0

    def __enter__(self) -> "LiveView":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last picture on the terminal."""
        self._live.update(self._picture(), refresh=True)
        self._live.stop()

    def show(self, events: Sequence[Event]) -> None:
        """Take new events, and draw again if the last picture is old enough."""
        self._events.extend(events)
        if time.monotonic() - self._drawn >= _PAUSE_S:
            self._drawn = time.monotonic()
            self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        people = Table(title="people", title_justify="left")
        for title in ("who", "what", "", "next"):
            people.add_column(title)
        for status in self._stream.bodies:
            people.add_row(*_row(status))
        lines = [Text(_line(event), style="green" if event.kind == "start" else "dim") for event in self._events]
        return Group(*([people] if people.row_count else []), *lines)


def _row(status: Status) -> tuple[Text, Text, Text, Text]:
    name, probability = status.top[0] if status.top else ("", 0.0)
    best = harmless(status.label or f"({name})" if name else "")
    others = ", ".join(f"{harmless(label)} {value:.0%}" for label, value in status.top[1:])
    bar = "█" * round(_BAR * probability)
    style = "bold green" if status.label else "dim"
    partner = "" if status.partner is None else f" + {harmless(str(status.partner))}"
    return (
        Text(harmless(str(status.body)) + partner),
        Text(best, style=style),
        Text(f"{bar:<{_BAR}} {probability:4.0%}", style=style),
        Text(others, style="dim"),
    )


def _line(event: Event) -> str:
    what = "starts" if event.kind == "start" else f"ends after {event.time - event.began:.1f} s"
    return f"{event.time:8.2f} s  {harmless(str(event.body))}  {harmless(event.label)} {what} ({event.probability:.0%})"
