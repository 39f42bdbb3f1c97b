"""A DNS server for one test, on loopback: UDP and TCP, with the records that the test gives it."""

from __future__ import annotations

import contextlib
import socketserver
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

UDP_MAX_BYTES = 512
"""Longer answers are cut, so that the client asks again over TCP, as it does for a long TXT record."""

Records = Mapping[str, Sequence[str]]
"""Texts of records as a zone file has them, by name and type: ``{"example.org TXT": ['"v=spf1 -all"']}``."""


class DnsServer:
    """Start it with ``with DnsServer({...}) as server``. ``address`` is what DNS_SERVERS takes.

    Args:
        failing: Names for which it answers that it can't (SERVFAIL).
        silent: Names for which it does not answer.
    """

    def __init__(self, records: Records, *, failing: Sequence[str] = (), silent: Sequence[str] = ()) -> None:
        self.records = {key.lower(): list(texts) for key, texts in records.items()}
        self.failing, self.silent = set(failing), set(silent)
        self.questions: list[str] = []
        self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._make_handler(is_tcp=True))
        port = self.tcp.server_address[1]
        self.udp = socketserver.ThreadingUDPServer(("127.0.0.1", port), self._make_handler(is_tcp=False))
        self.address = f"127.0.0.1:{port}"

    def __enter__(self) -> Self:
        for server in (self.tcp, self.udp):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        for server in (self.tcp, self.udp):
            server.shutdown()
            server.server_close()

    def answer(self, wire: bytes) -> dns.message.Message | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.questions.append(f"{name} {kind}")
        if name in self.silent:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if name in self.failing:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif texts := self.records.get(f"{name} {kind.lower()}"):
            response.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", kind, texts))
        elif not any(key.split(" ")[0] == name for key in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def _make_handler(self, *, is_tcp: bool) -> type[socketserver.BaseRequestHandler]:
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    server.serve_tcp(self.request) if is_tcp else server.serve_udp(self.request, self.client_address)

        return Handler

    def serve_tcp(self, client: Any) -> None:
        (length,) = struct.unpack("!H", client.recv(2))
        response = self.answer(client.recv(length))
        if response is not None:
            wire = response.to_wire()
            client.sendall(struct.pack("!H", len(wire)) + wire)

    def serve_udp(self, request: Any, client: Any) -> None:
        data, socket = request
        response = self.answer(data)
        if response is None:
            return
        wire = response.to_wire()
        if len(wire) > UDP_MAX_BYTES:
            response.answer.clear()
            response.flags |= dns.flags.TC
            wire = response.to_wire()
        socket.sendto(wire, client)
