"""Large downloads from a real daphne: a child process writes them, and ends with its reader."""

from __future__ import annotations

import csv
import io
import socket
import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.parse import urlsplit

import psutil
import pytest
from django.contrib.auth.models import User
from django.test import Client
from python_calamine import CalamineWorkbook

from batches import intake
from batches.api.exports import AT_ONCE_OF_USER, CHILD_ABOVE_ROWS
from tests.acceptance.stack import wait_until

COUNT = 40_000
PROGRAM = "batches.exports.child_program"
SECONDS = 60


@pytest.fixture
def address(transactional_db: None, sender: User, site: str) -> str:
    """The address of the downloads of a large batch, without the name of the file."""
    assert COUNT > CHILD_ABOVE_ROWS
    note = "x" * 300
    content = "email,code,note\n" + "".join(f"p{n}@example.org,{n:05},{note}\n" for n in range(COUNT))
    batch = intake.import_csv(io.BytesIO(content.encode()), filename="big.csv", user=sender).batch
    return f"{site}/api/batches/{batch.pk}/"


@pytest.fixture
def cookie(sender: User, transactional_db: None) -> str:
    client = Client()
    client.force_login(sender)
    return f"sessionid={client.cookies['sessionid'].value}"


def download(address: str, cookie: str) -> bytes:
    request = urllib.request.Request(address, headers={"Cookie": cookie})  # noqa: S310
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        return bytes(answer.read())


def find_children() -> list[psutil.Process]:
    """Find the processes that write exports."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any(PROGRAM in argument for argument in process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


class StalledReader:
    """A client that asks for a file, and reads only its first octets."""

    def __init__(self, address: str, cookie: str) -> None:
        parts = urlsplit(address)
        assert parts.hostname and parts.port
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=SECONDS)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
        self.status = self._socket.recv(12).decode()[-3:]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def stalled(address: str, cookie: str) -> Iterator[list[StalledReader]]:
    """As many as one user may have."""
    readers = [StalledReader(f"{address}results.csv", cookie) for _ in range(AT_ONCE_OF_USER)]
    yield readers
    for reader in readers:
        reader.close()


def test_large_files_are_whole_when_a_child_writes_them(address: str, cookie: str) -> None:
    text = download(f"{address}results.csv", cookie).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert [row[:2] for row in rows[1:]] == [[f"p{n}@example.org", f"{n:05}"] for n in range(COUNT)]
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(download(f"{address}results.xlsx", cookie)))
    assert [row[:2] for row in sheet.get_sheet_by_index(0).to_python()] == [row[:2] for row in rows]
    wait_until(lambda: not find_children(), within_seconds=SECONDS, what="The end of the children")


def test_child_ends_when_its_client_goes(stalled: list[StalledReader]) -> None:
    assert [reader.status for reader in stalled] == ["200"] * len(stalled)
    assert len(find_children()) == len(stalled)
    for reader in stalled:
        reader.close()
    wait_until(lambda: not find_children(), within_seconds=SECONDS, what="The end of the children")


def test_others_are_served_when_one_user_has_all_downloads_open(
    stalled: list[StalledReader], address: str, cookie: str, staff: User
) -> None:
    with pytest.raises(HTTPError) as refused:
        download(f"{address}results.csv", cookie)
    assert refused.value.code == 429
    assert b"You are downloading other large files." in refused.value.read()
    client = Client()
    client.force_login(staff)
    assert download(f"{address}results.csv", f"sessionid={client.cookies['sessionid'].value}").count(b"\n") == COUNT + 1
    for reader in stalled:
        reader.close()

    def is_served() -> bool:
        try:
            return download(f"{address}results.csv", cookie).count(b"\n") == COUNT + 1
        except HTTPError:
            return False

    wait_until(is_served, within_seconds=SECONDS, what="The next download")
