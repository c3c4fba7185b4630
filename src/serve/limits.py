"""What a client of the server may use: sizes, times, rates and connections."""

import ipaddress
import math
import time as clocks
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

from ..live.settings import LiveSettings
from ..utils.errors import UserError

MIB = 1 << 20
MESSAGE_BYTES = 256 << 10  # of one message of a stream
LONGEST_WINDOW = 10.0  # seconds, of a stream; its memory grows with it
LONGEST_CLASSIFIED = 600  # frames of a stream, after resampling
_CLASSIFIED_AT_ONCE = 2  # people at one frame: they take turns, so that no frame takes long
LONGEST_ID = 64  # characters
BAD_IN_A_ROW = 20  # bad frames after which a stream is closed
_MOST_ADDRESSES = 10_000  # whose rates are remembered
_BURST = 2.0  # seconds of requests that may come at once
_SOCKETS = 8  # for each WebSocket that may be open: a TCP connection without a request costs little
_BODIES_OF_AN_ADDRESS, _BODIES_OF_ALL = 2, 16  # of the largest size, in memory at the same time

_BOUNDS = {
    "max_body_mib": (0.001, 1024),
    "max_frames": (1, 1_000_000),
    "max_bodies": (1, 100),
    "max_connections": (1, 10_000),
    "max_per_address": (1, 10_000),
    "rate": (0.1, 1_000_000),
    "frame_rate": (1, 1000),
    "timeout": (0.1, 3600),
    "waiting": (1, 10_000),
}


@dataclass(frozen=True)
class ServeLimits:
    """What a client of the server may use.

    Attributes:
        max_body_mib: size of a request, in MiB.
        max_frames: of a clip.
        max_bodies: of a clip, and of a frame of a stream.
        max_connections: streams at the same time.
        max_per_address: of these from one address.
        rate: requests a second from one address, a stream being one; twice as many may come at once.
        frame_rate: frames a second of a stream; faster ones are read at this rate.
        timeout: seconds in which a request has to arrive and its answer to be read, and after which a stream without
            frames is closed.
        waiting: clips that wait for a free worker.

    Raises:
        UserError: a limit is impossible; the message names all of them.
    """

    max_body_mib: float = 8.0
    max_frames: int = 3000
    max_bodies: int = 10
    max_connections: int = 64
    max_per_address: int = 16
    rate: float = 20.0
    frame_rate: float = 120.0
    timeout: float = 20.0
    waiting: int = 32

    def __post_init__(self) -> None:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        wrong = [
            f"{name} {values[name]:g} should be from {least:g} to {most:g}"
            for name, (least, most) in _BOUNDS.items()
            if not least <= values[name] <= most
        ]
        if wrong:
            raise UserError("Limits of the server: " + "; ".join(wrong) + ".")

    @property
    def max_body_bytes(self) -> int:
        """Return the size of a request in bytes."""
        return int(self.max_body_mib * MIB)

    def settings(self, wanted: dict[str, int | float]) -> LiveSettings:
        """Return the settings of a stream within these limits.

        Raises:
            UserError: a setting is unknown, impossible, or above a limit.
        """
        known = [item.name for item in fields(LiveSettings)]
        unknown = sorted(set(wanted) - set(known))
        if unknown:
            raise UserError(f"There is no setting {unknown[0]!r} of a stream; there are {', '.join(known)}.")
        given = LiveSettings(**wanted)  # type: ignore[arg-type]  # whole numbers, which it checks
        if "most_bodies" not in wanted:
            most = min(given.most_bodies, self.max_bodies, int(_CLASSIFIED_AT_ONCE * given.every))
            given = replace(given, most_bodies=most)
        if given.window > LONGEST_WINDOW or given.most_bodies > self.max_bodies:
            raise UserError(
                f"This server allows a window of {LONGEST_WINDOW:g} s and {self.max_bodies} bodies in a stream."
            )
        if given.most_bodies > _CLASSIFIED_AT_ONCE * given.every:
            raise UserError(
                f"This server classifies {_CLASSIFIED_AT_ONCE} people at a frame at most: with `every` {given.every}, "
                f"`most_bodies` may be {_CLASSIFIED_AT_ONCE * given.every}."
            )
        return given


def network_of(address: str) -> str:
    """Return what counts as one client: an address, or the /64 of an IPv6 address, which one client has whole."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        if not parsed.is_loopback:
            return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


class Slots:
    """A limited number of places, of which each address may take a limited number."""

    def __init__(self, total: int, each: int) -> None:
        self.total, self.each = total, each
        self.taken: Counter[str] = Counter()
        self.used = 0

    def refusal(self, address: str, size: int = 1) -> str:
        """Return why there is no room: `address` has too many, `all` have; empty where there is room."""
        if self.taken[address] + size > self.each:
            return "address"
        return "all" if self.used + size > self.total else ""

    def take(self, address: str, size: int = 1) -> bool:
        """Take places, if there is room; return whether there was."""
        if self.refusal(address, size):
            self._forget(address)
            return False
        self.taken[address] += size
        self.used += size
        return True

    def free(self, address: str, size: int = 1) -> None:
        """Give places back."""
        self.taken[address] -= size
        self.used -= size
        self._forget(address)

    def _forget(self, address: str) -> None:
        if self.taken[address] <= 0:
            del self.taken[address]


@dataclass
class Rates:
    """How many requests each address sent lately: as many a second as `rate`, and twice as many at once.

    Args:
        rate: requests a second.
        clock: returns the time in seconds.
    """

    rate: float
    clock: Callable[[], float] = clocks.monotonic
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait(self, address: str) -> float:
        """Count a request; return 0 if it may pass, and otherwise the seconds after which one may."""
        now, most = self.clock(), max(1.0, _BURST * self.rate)
        left, since = self._left.pop(address, (most, now))
        left = min(most, left + (now - since) * self.rate)
        passes = left >= 1.0
        self._left[address] = (left - 1.0 if passes else left, now)
        if len(self._left) > _MOST_ADDRESSES:
            self._left.popitem(last=False)
        return 0.0 if passes else (1.0 - left) / self.rate


class Guard:
    """The counts behind the limits, of one server."""

    def __init__(self, limits: ServeLimits) -> None:
        self.limits = limits
        self.rates = Rates(limits.rate)
        self.streams = Slots(limits.max_connections, limits.max_per_address)
        self.sockets = Slots(_SOCKETS * limits.max_connections, _SOCKETS * limits.max_per_address)
        size = limits.max_body_bytes
        self.bodies = Slots(_BODIES_OF_ALL * size, _BODIES_OF_AN_ADDRESS * size)


def retry_after(seconds: float) -> str:
    """Return the value of the header Retry-After: whole seconds, at least one."""
    return str(max(1, math.ceil(seconds)))
