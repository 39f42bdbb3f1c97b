"""The process at the other end of a connection, for messages that kill whoever sends them."""

from __future__ import annotations

import asyncio
import os
import signal

import psutil


def kill_client(transport: asyncio.BaseTransport | None) -> None:
    """Kill -9 the process that holds the other end of a loopback connection, if it is still there."""
    peer = transport.get_extra_info("peername") if transport is not None else None
    for found in psutil.net_connections("tcp4") if peer else ():
        if found.pid and found.laddr == tuple(peer):
            os.kill(found.pid, signal.SIGKILL)
