"""daphne's websocket, which ends when its client sends anything but control frames.

The protocol has no message from a client. daphne hands every octet to autobahn, which parses each frame in Python in
the one thread of the event loop: four megabytes of frames with one octet each stopped every other request for twenty
seconds. ``GuardedSocket`` looks at the first octet of each frame and lets only whole control frames through, few a
minute (RFC 6455 section 5.5).
"""

from __future__ import annotations

import asyncio
from typing import Any

from daphne import ws_protocol

POLICY_VIOLATION = 1008
"""The close code for a client that sends what nobody reads (RFC 6455 section 7.4.1)."""

CONTROL_FRAMES_A_MINUTE = 60
"""A browser sends three pongs a minute, and a library a few pings."""

LINGER_SECONDS = 5.0
"""How long the close frame may take to leave before the connection is cut."""

_FINAL = 0x80
_MASKED = 0x80
_CONTROL_OPCODES = (0x8, 0x9, 0xA)
"""Close, ping, pong."""
_CONTROL_MAX_LENGTH = 125
_HEAD_LENGTH = 6
"""Two octets, and the mask that every frame of a client has (section 5.3)."""


class GuardedSocket(ws_protocol.WebSocketProtocol):  # type: ignore[misc]  # daphne has no types
    """A websocket of daphne that closes at the first octet of a data frame."""

    _has_head = False
    """Whether the HTTP request is here. daphne hands it over in one piece."""
    _is_ended = False
    _rest = b""
    """The beginning of a control frame that is not complete yet."""
    _minute = 0
    _frame_count = 0

    def dataReceived(self, data: bytes) -> None:
        if self._is_ended:
            return
        if not self._has_head:
            self._has_head = True
            super().dataReceived(data)
        elif self.state == self.STATE_CONNECTING:
            # Nobody speaks before the handshake is answered, so nothing is kept of a client that does.
            self._is_ended = True
            self.transport.abortConnection()
        else:
            self._take(self._rest + data)

    def _take(self, data: bytes) -> None:
        """Pass on the complete control frames at the beginning of some octets, and keep the incomplete one."""
        position = 0
        while position < len(data) and self.state != self.STATE_CLOSED:
            end = _find_end(data, position)
            if end is None or (end <= len(data) and not self._count_frame()):
                self._refuse()
                return
            if end > len(data):
                break
            super().dataReceived(data[position:end])
            position = end
        self._rest = data[position:]

    def _count_frame(self) -> bool:
        """Count a control frame. Returns whether the client may send it."""
        minute = int(asyncio.get_event_loop().time() // 60)
        if minute != self._minute:
            self._minute, self._frame_count = minute, 0
        self._frame_count += 1
        return self._frame_count <= CONTROL_FRAMES_A_MINUTE

    def _refuse(self) -> None:
        """Say why, and close without waiting for the client's answer. Twisted reads nothing more then."""
        self._is_ended = True
        self._rest = b""
        transport: Any = self.transport
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=POLICY_VIOLATION, reasonUtf8=b"No messages are read here.", isReply=False)
        self.dropConnection(abort=False)
        asyncio.get_event_loop().call_later(LINGER_SECONDS, transport.abortConnection)


def _find_end(data: bytes, start: int) -> int | None:
    """Return where a control frame ends, which may be after the data. None: it is no control frame of a client."""
    first = data[start]
    if first & 0xF0 != _FINAL or first & 0x0F not in _CONTROL_OPCODES:
        return None
    if start + 1 == len(data):
        return len(data) + 1
    length = data[start + 1] & 0x7F
    if not data[start + 1] & _MASKED or length > _CONTROL_MAX_LENGTH:
        return None
    return start + _HEAD_LENGTH + length
