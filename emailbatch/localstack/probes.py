"""Asks each service one cheap question, and waits until it answers. Never starts anything."""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import redis

ASK_SECONDS = 0.05
TIMEOUT_SECONDS = 2


class NotReady(Exception):
    """A service did not answer in time. The message names it."""


async def wait_for(
    name: str, is_ready: Callable[[], bool], *, within_seconds: float, check: Callable[[], None] = lambda: None
) -> None:
    """Ask again and again until the service answers.

    ``check`` is called between two questions; what it raises ends the wait at once.

    Raises:
        NotReady: the service did not answer in time.
    """
    deadline = time.monotonic() + within_seconds
    while not await asyncio.to_thread(is_ready):
        check()
        if time.monotonic() > deadline:
            raise NotReady(f"{name} did not answer within {within_seconds:g} seconds. Its own log lines above say why.")
        await asyncio.sleep(ASK_SECONDS)


def postgres_answers(folder: Path) -> bool:
    """Return whether a PostgreSQL server accepts a connection at the socket in this folder."""
    try:
        psycopg.connect(host=str(folder), user="postgres", dbname="postgres", connect_timeout=TIMEOUT_SECONDS).close()
    except psycopg.OperationalError:
        return False
    return True


def redis_answers(url: str) -> bool:
    """Return whether Redis answers. It does not while it still loads its file."""
    try:
        with redis.Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS) as client:
            client.ping()
    except redis.RedisError:
        return False
    return True


def smtp_answers(path: Path) -> bool:
    """Return whether an SMTP server greets at this socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT_SECONDS)
        try:
            client.connect(str(path))
            return client.recv(3) == b"220"
        except OSError:
            return False


def listener_greets(*, host: str, port: int) -> bool:
    """Return whether an SMTP or LMTP server greets at this port."""
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as client:
            return client.recv(3) == b"220"
    except OSError:
        return False


def http_answers(*, host: str, port: int) -> bool:
    """Return whether a web server answers, with any status below 500."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/accounts/login/", headers={"Host": host})
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
