"""Messages of a WebSocket, as `live` reads them."""

from collections.abc import Iterator

from ..utils.errors import UserError
from ..utils.extras import refuse_missing

_OPEN_S = 10.0
_SCHEMES = ("ws://", "wss://")


def messages_of(url: str, longest: int) -> Iterator[bytes]:
    """Connect to a WebSocket and yield its messages until its server closes it.

    Args:
        url: `ws://...` or `wss://...`.
        longest: bytes of a message; a longer one ends the connection.

    Raises:
        UserError: there is no connection, or it ended otherwise than by being closed.
    """
    if not url.startswith(_SCHEMES):
        raise UserError(f"--connect takes the address of a WebSocket, ws:// or wss://, not {url!r}.")
    refuse_missing(("websockets",), "live --connect")
    return _messages(url, longest)


def _messages(url: str, longest: int) -> Iterator[bytes]:
    from websockets.exceptions import ConnectionClosed, WebSocketException
    from websockets.sync.client import connect

    try:
        with connect(url, max_size=longest, open_timeout=_OPEN_S, compression=None) as socket:
            for message in socket:
                yield message.encode() if isinstance(message, str) else message
    except ConnectionClosed as error:
        raise UserError(f"The connection to {url} ended: {error}.") from error
    except (OSError, ValueError, WebSocketException) as error:  # a ValueError is an address that cannot be parsed
        raise UserError(f"There is no connection to {url} ({error}). Is its server running?") from error
