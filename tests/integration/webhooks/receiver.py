"""A receiver of webhooks on a port of its own, which answers as a test says and keeps what it got."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Script = Callable[[socket.socket, "Got"], None]


@dataclass(kw_only=True, slots=True)
class Got:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass(kw_only=True, slots=True)
class Receiver:
    port: int
    script: Script
    """Answers one request, octet by octet as it likes. The connection is closed afterwards."""
    got: list[Got] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"


def answer(status: int, *lines: str, body: bytes = b"") -> Script:
    """Make a script that answers one status, whatever comes."""

    def run(connection: socket.socket, got: Got) -> None:
        head = "\r\n".join([f"HTTP/1.1 {status} Some Words", f"Content-Length: {len(body)}", *lines, "", ""])
        connection.sendall(head.encode() + body)

    return run


ACCEPT = answer(200)


@contextmanager
def receiving(script: Script = ACCEPT) -> Iterator[Receiver]:
    """Run a receiver. Each connection has a thread."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        receiver = Receiver(port=server.getsockname()[1], script=script)
        accepting = threading.Thread(target=_accept, args=(server, receiver), daemon=True)
        accepting.start()
        try:
            yield receiver
        finally:
            receiver.stopping.set()
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(server: socket.socket, receiver: Receiver) -> None:
    threads = []
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            break
        threads.append(threading.Thread(target=_serve, args=(connection, receiver), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()


def _serve(connection: socket.socket, receiver: Receiver) -> None:
    with connection:
        try:
            got = _read(connection)
            receiver.got.append(got)
            receiver.script(connection, got)
        except OSError:
            return  # the sender went away


def _read(connection: socket.socket) -> Got:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)}
    while len(body) < int(headers["content-length"]):
        body += _receive(connection)
    return Got(line=line, headers=headers, body=body)


def _receive(connection: socket.socket) -> bytes:
    piece = connection.recv(65_536)
    if not piece:
        raise ConnectionError
    return piece
