"""The process at the other end of a connection, for messages that kill the process that sends them."""

from __future__ import annotations

import asyncio
import os
import signal

import psutil


def kill_client(transport: asyncio.BaseTransport | None) -> None:
    """Kill -9 the process that has the other end of a loopback connection, if it still exists."""
    peer = transport.get_extra_info("peername") if transport is not None else None
    if peer is None:
        return
    for found in psutil.net_connections("tcp4"):
        if found.pid and found.laddr == tuple(peer):
            os.kill(found.pid, signal.SIGKILL)
