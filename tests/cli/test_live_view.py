"""What `live` draws on a terminal."""

import numpy as np
from deploy_probes import SharedExport

from last.cli.live_view import LiveView
from last.live.settings import LiveSettings
from last.live.stream import Event, StreamRecognizer


def test_the_view_shows_who_does_what_and_the_last_events(shared_export: SharedExport) -> None:
    stream = StreamRecognizer(shared_export.model, LiveSettings(threshold=0.01))
    view = LiveView(stream)
    for number in range(60):
        view._events.extend(stream.push(np.random.default_rng(0).normal(size=(25, 3)), "\x1b[31manna", number / 30))
    people, *events = view._picture().renderables
    (who,) = people.columns[0]._cells
    assert who.plain.endswith("[31manna") and "\x1b" not in who.plain
    assert people.columns[1]._cells[0].plain in stream.recognizer.classes and events
    stream.finish()
    view._events.append(Event("end", 1, "wave", 0.5, 1.0, 3.0))
    assert view._picture().renderables[-1].plain.endswith("wave ends after 2.0 s (50%)")
