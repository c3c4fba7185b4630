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

from ..data.store.clip import FARTHEST
from ..deploy.recognizer import NoBody, Recognizer
from ..utils.errors import UserError
from .actions import NONE, ActionState, Change
from .frame_history import History
from .settings import LiveSettings
from .tracking import assign, mutual_pairs, position_of, size_of

Floats = NDArray[np.float32]
_RATE = 30.0  # frames per second, where the file has no rate
_FASTEST = 120.0  # frames per second for which a buffer has room
_STEP = 0.75  # of its size: how far a body may move between two frames in which it was seen
_PAIR = 1.0  # of its size: how near a partner is
_TOGETHER_S = 0.1  # how long ago a partner was seen at most
_LOST_CLOCK = 30  # late frames in a row after which the stream starts anew


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
    seen: float
    since: float
    frames: int = 0
    partner: Hashable = None


@dataclass(frozen=True)
class Status:
    """What a person does at present.

    Attributes:
        body: who.
        label: the class of the present action, empty for none of them.
        since: when it began, or when the person came, in seconds.
        top: the classes with the highest smoothed probabilities, and these, at most three.
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
            `too many`.

    Raises:
        UserError: the file cannot be run, see `Recognizer`.
    """

    model: Recognizer | Path | str
    settings: LiveSettings = field(default_factory=LiveSettings)
    clock: Callable[[], float] = clocks.monotonic

    def __post_init__(self) -> None:
        self.recognizer = self.model if isinstance(self.model, Recognizer) else Recognizer(self.model, 1)
        facts, settings = self.recognizer.facts, self.settings
        self.rate = settings.rate or facts.frame_rate or _RATE
        self.thresholds = _thresholds(facts.all.get("calibration"), facts.classes, settings.threshold)
        if (background := facts.all.get("background")) in facts.classes:
            self.thresholds[facts.classes.index(background)] = np.inf
        self.dropped: Counter[str] = Counter()
        self._capacity = max(2, math.ceil(settings.window * _FASTEST))
        self._bodies: dict[Hashable, _Body] = {}
        self._newest = -math.inf
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
            confidence: of the joints, (V,) or (M, V), from 0 to 1. A joint below the model's `min_confidence` is
                missing.

        Raises:
            UserError: the frame does not fit the layout of the model, or the time is no finite number.
        """
        joints = self._checked(frame, confidence)
        time = self._time(timestamp)
        events = list(self._advance(time))
        present = [number for number, body in enumerate(joints) if not np.isnan(body).all()]
        self.dropped["absent"] += len(joints) - len(present)
        names = self._names(joints, present, body_id, time)
        for number in present:
            name = names[number]
            if name is not None and self._add(name, joints[number], time):
                body = self._bodies[name]
                if body.frames % self.settings.every == 0 and time - body.since >= self.settings.shortest:
                    events += self._classify(name, body)
        return events

    def finish(self) -> list[Event]:
        """End the stream, and return the ends of all present actions."""
        events = [event for name in list(self._bodies) for event in self._remove(name)]
        self._newest = -math.inf
        return events

    # --- frames

    def _checked(self, frame: Any, confidence: Any) -> Floats:
        layout = self.recognizer.facts.layout
        try:
            joints = np.array(frame, np.float32)
        except (TypeError, ValueError) as error:
            raise UserError(f"A frame should be an array of numbers ({error}).") from error
        joints = joints[None] if joints.ndim == 2 else joints
        if joints.ndim != 3 or joints.shape[1:] != (layout.num_joints, layout.coordinates):
            raise UserError(
                f"The frame has the shape {np.shape(frame)}; the model takes ({layout.num_joints}, "
                f"{layout.coordinates}), or that for each body: the layout {layout.name}."
            )
        joints[~(np.abs(joints) <= FARTHEST)] = np.nan
        joints[(joints == 0).all(axis=(1, 2))] = np.nan
        if confidence is not None:
            certain = np.asarray(confidence, np.float64)
            certain = certain[None] if certain.ndim == 1 else certain
            if certain.shape != joints.shape[:2]:
                raise UserError(f"The confidences have the shape {certain.shape}; the frame needs {joints.shape[:2]}.")
            joints[~(certain >= self.recognizer.facts.min_confidence)] = np.nan
        joints[np.isnan(joints).any(axis=2)] = np.nan
        return joints

    def _time(self, timestamp: float | None) -> float:
        time = self.clock() if timestamp is None else timestamp
        if not isinstance(time, int | float) or isinstance(time, bool) or not math.isfinite(time):
            raise UserError(f"The time of a frame should be a finite number of seconds, not {time!r}.")
        return float(time)

    def _advance(self, time: float) -> Iterator[Event]:
        """Move the clock of the stream, and yield the ends of the actions of those who are lost by then."""
        settings = self.settings
        ahead = time - self._newest
        late = ahead < -settings.window
        self._late_in_a_row = self._late_in_a_row + 1 if late else 0
        if (ahead > settings.largest_jump and self._bodies) or self._late_in_a_row >= _LOST_CLOCK:
            yield from self.finish()
            self._late_in_a_row = 0
        self._newest = max(self._newest, time)
        for name in [name for name, body in self._bodies.items() if self._newest - body.seen > settings.bridge]:
            yield from self._remove(name)

    def _names(
        self, joints: Floats, present: Sequence[int], body_id: Hashable | Sequence[Hashable], time: float
    ) -> dict[int, Hashable]:
        """Return who each present body of a frame is; None where there is no room for it."""
        if body_id is not None:
            given = list(body_id) if isinstance(body_id, list | tuple) else [body_id]
            if len(given) != len(joints) or len(set(given)) != len(given):
                raise UserError(f"The frame has {len(joints)} bodies and needs as many different ids, not {given!r}.")
            named = {number: given[number] for number in present}
        else:
            center = self.recognizer.facts.layout.center
            positions = [position_of(joints[number], center) for number in present]
            limits = [_STEP * max(size_of(joints[number]), 1e-6) for number in present]
            free = {name: body.position for name, body in self._bodies.items() if body.seen < time}
            found = assign(positions, limits, free)
            named = {}
            for number, name in zip(present, found, strict=True):
                named[number] = self._new_name() if name is None else name
        return {number: name if self._has_room(name) else None for number, name in named.items()}

    def _new_name(self) -> int:
        if len(self._bodies) >= self.settings.most_bodies:
            return -1
        self._next += 1
        return self._next - 1

    def _has_room(self, name: Hashable) -> bool:
        if name in self._bodies:
            return True
        if len(self._bodies) < self.settings.most_bodies:
            self._bodies[name] = self._new_body()
            return True
        self.dropped["too many"] += 1
        return False

    def _new_body(self) -> _Body:
        layout = self.recognizer.facts.layout
        history = History(self._capacity, layout.num_joints, layout.coordinates)
        state = ActionState(self.thresholds, self.settings)
        turn = len(self._bodies) % self.settings.every  # so that not all are classified at the same frame
        return _Body(history, state, np.full(layout.coordinates, np.nan), 0.0, -math.inf, math.inf, turn)

    def _add(self, name: Hashable, joints: Floats, time: float) -> bool:
        """Add a frame to a person's history; return whether it is the newest one, which may be classified."""
        body = self._bodies[name]
        if time < self._newest - self.settings.window:
            self.dropped["late"] += 1
            return False
        newest = time > body.history.newest
        if not body.history.add(time, joints):
            self.dropped["duplicate"] += 1
            return False
        body.since = min(body.since, time)
        if newest:
            body.position, body.size = position_of(joints, self.recognizer.facts.layout.center), size_of(joints)
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
        if body.state.action != NONE:
            yield self._event(name, body.state.stop(body.seen), body.partner)

    def _status(self, name: Hashable, body: _Body) -> Status:
        classes, smoothed = self.recognizer.classes, body.state.smoothed
        ranked = [] if smoothed is None else np.argsort(-smoothed, kind="stable")[:3].tolist()
        top = tuple((classes[number], float(smoothed[number])) for number in ranked) if smoothed is not None else ()
        if body.state.action == NONE:
            return Status(name, "", body.since, top, body.partner)
        return Status(name, classes[body.state.action], body.state.began, top, body.partner)


def _thresholds(calibration: Any, classes: Sequence[str], given: float) -> Floats:
    """Return the probability (K,) at which an action of each class starts: what is given, or what the file has."""
    stated = calibration.get("thresholds") if isinstance(calibration, dict) else None
    if given or not isinstance(stated, dict):
        return np.full(len(classes), given or 0.5, np.float32)
    return np.array([float(stated.get(name, 0.5)) for name in classes], np.float32)
