"""The access log: one line for each request and each websocket, as daphne writes it to standard output.

What happened enters, as daphne tells it. A line leaves in NCSA's common form: the client's address, the user's id, the
time, method and path, status and length. The query is left out, because it has what people search for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import IO, Any

from batches.client_address import find_client_address
from batches.redaction import redact
from emailbatch.request_bodies.daphne_request import DaphneRequest, current_request

WEBSOCKET_WORDS = {
    "connecting": "WSCONNECTING",
    "rejected": "WSREJECT",
    "connected": "WSCONNECT",
    "disconnected": "WSDISCONNECT",
}
"""daphne's words for what a websocket does."""


class AccessLog:
    """Takes the place of daphne's own access log, with the same interface."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, protocol: str, action: str, details: Mapping[str, Any]) -> None:
        if protocol == "http" and action == "complete":
            request = current_request.get()
            address = find_client(request) if request else None
            user_id = request.user_id if request else None
            line = f"{details['method']} {cut_query(details['path'])}"
            self._write(address or details["client"], user_id, line, f"{details['status']} {details['size'] or 0}")
        elif protocol == "websocket" and action in WEBSOCKET_WORDS:
            line = f"{WEBSOCKET_WORDS[action]} {cut_query(details['path'])}"
            self._write(details["client"], None, line, "- -")

    def _write(self, client: str | None, user_id: int | None, line: str, result: str) -> None:
        time = datetime.now().astimezone().strftime("%d/%b/%Y:%H:%M:%S %z")
        user = "-" if user_id is None else user_id
        self._stream.write(f'{client or "-"} - {user} [{time}] "{redact(line)}" {result}\n')


def find_client(request: DaphneRequest) -> str:
    """Return the client's address, also beside a proxy. Empty: the proxy is connected through a Unix socket."""
    forwarded = request.requestHeaders.getRawHeaders(b"x-forwarded-for", [])
    peer = request.client_addr[0] if request.client_addr else ""
    return find_client_address(peer, ",".join(value.decode("latin-1") for value in forwarded))


def cut_query(address: str) -> str:
    """Return the path of an address. Its quotes are encoded, so that nobody can write a line of their own."""
    return address.partition("?")[0].partition("#")[0].replace('"', "%22").replace("\n", "%0A").replace("\r", "%0D")
