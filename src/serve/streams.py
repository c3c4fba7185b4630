"""A stream: frames of one client over a WebSocket, and the events that they bring."""

import asyncio
import json
import time as clocks
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from ..deploy.recognizer import Recognizer
from ..live.stream import Event, StreamRecognizer
from ..utils.errors import UserError
from .joints import array_of
from .limits import BAD_IN_A_ROW, LONGEST_CLASSIFIED, ServeLimits, network_of
from .metrics import Metrics
from .schemas import StreamMessage, problems_of
from .workers import Busy, Workers

NORMAL, POLICY = 1000, 1008  # codes with which a stream is closed


class _Pace:
    """Slows a sender down to a number of frames a second; a second of them may come at once."""

    def __init__(self, rate: float) -> None:
        self._step, self._next = 1.0 / rate, clocks.monotonic() - 1.0

    async def wait(self) -> None:
        now = clocks.monotonic()
        self._next = max(self._next + self._step, now - 1.0)
        if self._next > now:
            await asyncio.sleep(self._next - now)


class Stream:
    """One stream.

    Args:
        socket: an accepted WebSocket.
        recognizer: the model.
        workers: threads in which frames are classified.
        limits: of the server.
        metrics: where frames and events are counted.
    """

    def __init__(
        self, socket: WebSocket, recognizer: Recognizer, workers: Workers, limits: ServeLimits, metrics: Metrics
    ) -> None:
        self.socket, self.recognizer, self.workers = socket, recognizer, workers
        self.limits, self.metrics = limits, metrics
        self.client = network_of(socket.client.host if socket.client else "")
        self.live = StreamRecognizer(recognizer, limits.settings({}))
        self._counted: Counter[str] = Counter()
        self._bad_in_a_row, self._begun = 0, False

    async def run(self) -> None:
        """Answer frames until the client leaves, finishes, or is closed."""
        pace = _Pace(self.limits.frame_rate)
        try:
            while True:
                try:
                    async with asyncio.timeout(self.limits.timeout):
                        message = await self.socket.receive()
                except TimeoutError:
                    await self.socket.close(POLICY, f"no frame came for {self.limits.timeout:g} s")
                    return
                if message["type"] == "websocket.disconnect" or not await self._answer(message):
                    return
                await pace.wait()
        except (WebSocketDisconnect, OSError, Busy):
            return
        finally:
            self._count_dropped()

    async def _answer(self, message: Mapping[str, Any]) -> bool:
        """Answer one message; return whether the stream goes on."""
        began = clocks.monotonic()
        try:
            parsed = StreamMessage.model_validate_json(message.get("text") or message.get("bytes") or b"")
            if parsed.finish:
                await self._finish()
                return False
            if parsed.settings is not None:
                self._set(parsed.settings)
                return True
            events = await self.workers.run(self._push, parsed, client=self.client)
        except ValidationError as error:
            return await self._refuse(problems_of(error))
        except UserError as error:
            return await self._refuse(str(error))
        self._begun, self._bad_in_a_row = True, 0
        self.metrics.frames.inc()
        await self._send_events(events)
        self.metrics.frame_seconds.observe(clocks.monotonic() - began)
        self._count_dropped()
        return True

    def _push(self, message: StreamMessage) -> list[Event]:
        layout, most = self.recognizer.facts.layout, self.limits.max_bodies
        joints = array_of(message.joints or [], (2, 3), (layout.num_joints, layout.coordinates), (most,))
        given = message.confidence
        certain = None if given is None else array_of(given, (joints.ndim - 1,), (layout.num_joints,), (most,))
        return self.live.push(joints, message.body, message.time, certain)

    def _set(self, settings: dict[str, int | float]) -> None:
        if self._begun:
            raise UserError("Settings should be the first message of a stream.")
        chosen = self.limits.settings(settings)
        rate = chosen.rate or self.live.rate
        if chosen.window * rate > min(self.limits.max_frames, LONGEST_CLASSIFIED):
            raise UserError(f"A window of {chosen.window:g} s at {rate:g} frames a second is too long for this server.")
        self.live = StreamRecognizer(self.recognizer, chosen)

    async def _finish(self) -> None:
        await self._send_events(self.live.finish())
        await self._send({"dropped": dict(self.live.dropped)})
        await self.socket.close(NORMAL)

    async def _refuse(self, error: str) -> bool:
        """Say what is wrong with a message; close the stream after too many of them, and return whether it goes on."""
        self._bad_in_a_row += 1
        self.metrics.bad_frames.inc()
        await self._send({"error": error})
        if self._bad_in_a_row < BAD_IN_A_ROW:
            return True
        await self.socket.close(POLICY, f"{BAD_IN_A_ROW} bad messages in a row")
        return False

    async def _send_events(self, events: Sequence[Event]) -> None:
        for event in events:
            self.metrics.events.labels(event.kind).inc()
            found: dict[str, Any] = {
                "kind": event.kind, "body": event.body, "label": event.label, "probability": event.probability,
                "began": event.began, "time": event.time,
            }  # fmt: skip
            await self._send(found if event.partner is None else found | {"partner": event.partner})

    async def _send(self, content: dict[str, Any]) -> None:
        await self.socket.send_text(json.dumps(content))

    def _count_dropped(self) -> None:
        for reason, number in self.live.dropped.items():
            if number > self._counted[reason]:
                self.metrics.dropped.labels(reason).inc(number - self._counted[reason])
                self._counted[reason] = number
