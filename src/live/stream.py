"""Recognise what several people do in a stream of frames.

Legend: M bodies, F frames, V joints, C coordinates, K classes.
"""

import math
import time as clocks
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deploy.recognizer import NoBody, Recognizer
from ..utils.errors import UserError
from .actions import NONE, ActionState, Change
from .frame_history import History
from .given import ids_of, joints_of, time_of
from .settings import LiveSettings
from .tracking import assign, mutual_pairs, position_of, size_of

Floats = NDArray[np.float32]
_RATE = 30.0  # frames per second, where the file has no rate
_FASTEST = 240.0  # frames per second for which a buffer has room
_SHORTEST_STEP_S = 0.9 / _FASTEST
_KEPT_SIZE = 0.99  # of a body that is seen in part, from frame to frame
_STEP = 0.75  # of its size: how far a body may move between two frames in which it was seen
_PAIR = 1.0  # of its size: how near a partner is
_TOGETHER_S = 0.1  # how long ago a partner was seen at most
_LOST_CLOCK = 30  # late frames in a row after which a new stream begins


@dataclass(frozen=True)
class Event:
    """The start or the end of an action of a person.

    Attributes:
        kind: `start` or `end`.
        body: who; the id that was given, or a number.
        label: the class.
        probability: smoothed, at that time.
        began: when the action began, in seconds, on the clock of the frames.
        time: when that was decided.
        partner: the second person of the input, if there is one.
    """

    kind: str
    body: Hashable
    label: str
    probability: float
    began: float
    time: float
    partner: Hashable = None


@dataclass
class _Body:
    history: History
    state: ActionState
    position: NDArray[np.float64]
    size: float
    seen: float  # the time of the newest frame
    since: float  # the time of the oldest frame
    arrived: float  # the time of the stream when the last frame came
    frames: int = 0
    taken: int = 0  # frames of any time
    partner: Hashable = None


@dataclass(frozen=True)
class Status:
    """What a person does at present.

    Attributes:
        body: who.
        label: the class of the present action, empty for none of them.
        since: when it began, or when the person came, in seconds.
        top: classes and their smoothed probabilities, at most three: the present action if there is one, then those
            with the highest ones.
        partner: the second person of the last input, if there was one.
    """

    body: Hashable
    label: str
    since: float
    top: tuple[tuple[str, float], ...] = ()
    partner: Hashable = None


@dataclass
class StreamRecognizer:
    """Recognise what several people do, frame by frame.

    A person is classified at every few of their frames, from the last seconds of them: never from padding, so that a
    short history is used as it is. With a model for two bodies, two people who are each other's nearest are classified
    together. Memory does not grow with the length of the stream.

    Args:
        model: an exported file, or its path.
        settings: times, thresholds and limits.
        clock: returns the time of a frame that comes without one, in seconds.

    Attributes:
        dropped: the number of frames of a person that were not used, by reason: `late`, `duplicate`, `absent`,
            `too many`, `too fast`, `brief` (of a person who was lost before they were classified).

    Raises:
        UserError: the file cannot be run, see `Recognizer`, or `settings` are something else.
    """

    model: Recognizer | Path | str
    settings: LiveSettings = field(default_factory=LiveSettings)
    clock: Callable[[], float] = clocks.monotonic

    def __post_init__(self) -> None:
        if not isinstance(self.settings, LiveSettings):
            raise UserError(f"settings should be last.live.settings.LiveSettings(...), not {self.settings!r}.")
        self.recognizer = self.model if isinstance(self.model, Recognizer) else Recognizer(self.model, 1)
        facts, settings = self.recognizer.facts, self.settings
        self.rate = settings.rate or facts.frame_rate or _RATE
        self.thresholds = _thresholds(facts.all.get("calibration"), facts.classes, settings.threshold)
        if (background := facts.all.get("background")) in facts.classes:
            self.thresholds[facts.classes.index(background)] = np.inf
        self.dropped: Counter[str] = Counter()
        self._capacity = max(2, math.ceil(settings.window * _FASTEST))
        self._bodies: dict[Hashable, _Body] = {}
        self._newest = self._now = -math.inf
        self._late_in_a_row, self._next = 0, 1

    @property
    def bodies(self) -> tuple[Status, ...]:
        """Return what each present person does."""
        return tuple(self._status(name, body) for name, body in self._bodies.items())

    @property
    def nbytes(self) -> int:
        """Return the memory of the histories in bytes, which is limited by the settings."""
        return sum(body.history.nbytes for body in self._bodies.values())

    def push(
        self,
        frame: Any,
        body_id: Hashable | Sequence[Hashable] = None,
        timestamp: float | None = None,
        confidence: Any = None,
    ) -> list[Event]:
        """Take a frame and return the events that it brings.

        Args:
            frame: joints (V, C) of one person, or (M, V, C) of all people in the frame; NaN where a joint is missing.
                A person all of whose coordinates are zero or NaN is absent.
            body_id: who it is, or a list of M ids. Without one, people are tracked: each is the one that was nearest.
            timestamp: in seconds; by default that of the clock. Late frames are used as long as they are within the
                window, others are dropped, as are second frames of the same person and time.
            confidence: of the joints, (V,) or (M, V), from 0 to 1; scores of pose estimators up to 10 count as 1. A
                joint below the model's `min_confidence` is missing.

        Raises:
            UserError: the frame does not fit the layout of the model, or the time is no finite number.
        """
        facts = self.recognizer.facts
        joints = joints_of(frame, confidence, facts.layout, facts.min_confidence)
        time = time_of(self.clock() if timestamp is None else timestamp)
        ids = ids_of(body_id, len(joints))
        events = list(self._advance(time))
        present = [number for number, body in enumerate(joints) if not np.isnan(body).all()]
        self.dropped["absent"] += len(joints) - len(present)
        names = self._tracked(joints[present], time) if ids is None else [ids[number] for number in present]
        for number, name in zip(present, names, strict=True):
            events += self._take(name, joints[number], time)
        return events

    def finish(self) -> list[Event]:
        """End the stream, and return the ends of all present actions."""
        events = [event for name in list(self._bodies) for event in self._remove(name)]
        self._newest = self._now = -math.inf
        return events

    # --- frames

    def _advance(self, time: float) -> Iterator[Event]:
        """Move the clock of the stream, and yield the ends of the actions of those who are lost by then.

        The clock is the newest time but one, so that a single frame with a wrong time does not move it.
        """
        settings = self.settings
        ahead = time - self._newest
        late = ahead < -settings.window
        self._late_in_a_row = self._late_in_a_row + 1 if late else 0
        if (ahead > settings.largest_jump and self._bodies) or self._late_in_a_row >= _LOST_CLOCK:
            yield from self.finish()
            self._late_in_a_row = 0
        self._now = max(self._now, min(time, self._newest))
        self._newest = max(self._newest, time)
        for name in [name for name, body in self._bodies.items() if self._now - body.arrived > settings.bridge]:
            yield from self._remove(name)

    def _tracked(self, joints: Floats, time: float) -> list[Hashable]:
        """Return who each body of a frame (M, V, C) is; None for someone new."""
        center = self.recognizer.facts.layout.center
        named: list[Hashable] = [None] * len(joints)
        known = {}
        for name, body in self._bodies.items():
            at, nearest = body.history.nearest(time)
            repeated = [number for number, each in enumerate(joints) if at == time and _is_same(each, nearest)]
            if repeated:
                named[repeated[0]] = name
            elif at != time and abs(time - at) <= self.settings.bridge:
                known[name] = position_of(nearest, center)
        others = [number for number, name in enumerate(named) if name is None]
        positions = [position_of(joints[number], center) for number in others]
        limits = [_STEP * size_of(joints[number]) for number in others]
        reach = {name: _STEP * self._bodies[name].size for name in known}
        for number, name in zip(others, assign(positions, limits, known, reach), strict=True):
            named[number] = name
        return named

    def _take(self, name: Hashable, joints: Floats, time: float) -> Iterator[Event]:
        """Add a frame of a person, None for someone new, and yield the events that it brings."""
        settings = self.settings
        if time < self._newest - settings.window:
            self.dropped["late"] += 1
            return
        if name in self._bodies and time - self._bodies[name].seen > settings.bridge:
            yield from self._remove(name)
        if name not in self._bodies:
            if len(self._bodies) >= settings.most_bodies:
                self.dropped["too many"] += 1
                return
            name = self._new_name() if name is None else name
            self._bodies[name] = self._new_body(time)
        body = self._bodies[name]
        is_newest = self._add(body, joints, time)
        if is_newest and body.frames % settings.every == 0 and time - body.since >= settings.shortest:
            yield from self._classify(name, body)

    def _new_name(self) -> int:
        while self._next in self._bodies:  # as an id that was given
            self._next += 1
        self._next += 1
        return self._next - 1

    def _new_body(self, time: float) -> _Body:
        layout = self.recognizer.facts.layout
        history = History(self._capacity, layout.num_joints, layout.coordinates)
        state = ActionState(self.thresholds, self.settings)
        turn = len(self._bodies) % self.settings.every  # so that not all are classified at the same frame
        return _Body(history, state, np.full(layout.coordinates, np.nan), 0.0, -math.inf, time, time, turn)

    def _add(self, body: _Body, joints: Floats, time: float) -> bool:
        """Add a frame to a person's history; return whether it is the newest one, which may be classified."""
        newest = time > body.history.newest
        if 0 < time - body.seen < _SHORTEST_STEP_S:
            self.dropped["too fast"] += 1
            return False
        if not body.history.add(time, joints):
            self.dropped["duplicate"] += 1
            return False
        body.since, body.taken = min(body.since, time), body.taken + 1
        body.arrived = self._now if math.isfinite(self._now) else time
        if newest:
            body.position = position_of(joints, self.recognizer.facts.layout.center)
            body.size = max(size_of(joints), _KEPT_SIZE * body.size)
            body.seen = time
            body.frames += 1
        return newest

    # --- classification

    def _classify(self, name: Hashable, body: _Body) -> Iterator[Event]:
        partner = self._partner(name) if self.recognizer.facts.bodies > 1 else None
        start, stop = body.seen - self.settings.window, body.seen
        people = [body] if partner is None else [body, self._bodies[partner]]
        parts = [each.history.resampled(start, stop, self.rate, self.settings.bridge) for each in people]
        frames = len(parts[0])
        joints = np.full((len(parts), frames, *parts[0].shape[1:]), np.nan, np.float32)
        for number, part in enumerate(parts):
            used = part[-frames:]
            joints[number, frames - len(used) :] = used
        body.partner = partner
        try:
            probabilities = self.recognizer.probabilities(joints)
        except NoBody:
            return
        for change in body.state.update(stop, probabilities):
            yield self._event(name, change, partner)

    def _partner(self, name: Hashable) -> Hashable:
        """Return the person who is this one's nearest, if they are each other's; None if there is none."""
        newest = self._bodies[name].seen - _TOGETHER_S
        there = {
            each: body
            for each, body in self._bodies.items()
            if body.seen >= newest and not np.isnan(body.position).any()
        }
        positions = {each: body.position for each, body in there.items()}
        return mutual_pairs(positions, {each: _PAIR * body.size for each, body in there.items()}).get(name)

    def _event(self, name: Hashable, change: Change, partner: Hashable = None) -> Event:
        label = self.recognizer.classes[change.action]
        kind = "start" if change.starts else "end"
        return Event(kind, name, label, change.probability, change.began, change.time, partner)

    def _remove(self, name: Hashable) -> Iterator[Event]:
        body = self._bodies.pop(name)
        if body.state.smoothed is None:
            self.dropped["brief"] += body.taken
        if body.state.action != NONE:
            yield self._event(name, body.state.stop(body.seen), body.partner)

    def _status(self, name: Hashable, body: _Body) -> Status:
        classes, smoothed, action = self.recognizer.classes, body.state.smoothed, body.state.action
        top: list[tuple[str, float]] = []
        if smoothed is not None:
            ranked = np.argsort(-smoothed, kind="stable").tolist()
            first = [] if action == NONE else [action]
            order = [*first, *(number for number in ranked if number != action)]
            top = [(classes[number], float(smoothed[number])) for number in order[:3]]
        label, since = ("", body.since) if action == NONE else (classes[action], body.state.began)
        return Status(name, label, since, tuple(top), body.partner)


def _is_same(joints: Floats, others: Floats) -> bool:
    return np.array_equal(joints, others, equal_nan=True)


def _thresholds(calibration: Any, classes: Sequence[str], given: float) -> Floats:
    """Return the probability (K,) at which an action of each class starts: what is given, or what the file has."""
    stated = calibration.get("thresholds") if isinstance(calibration, dict) else None
    if given or not isinstance(stated, dict):
        return np.full(len(classes), given or 0.5, np.float32)
    return np.array([float(stated.get(name, 0.5)) for name in classes], np.float32)
