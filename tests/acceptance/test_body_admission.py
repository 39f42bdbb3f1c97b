"""Who may send a large body, where, how many at once and how slowly, through a real daphne."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from http.client import HTTPResponse
from itertools import product
from pathlib import Path
from threading import Thread

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from batches.models import Batch
from tests.acceptance.daphne import WebServer, make_bearer, run_daphne, start_daphne

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024 * 1024
FORM = "multipart/form-data; boundary=x"
HEAD = b'--x\r\nContent-Disposition: form-data; name="draft"\r\n\r\ntrue\r\n--x\r\nContent-Disposition: form-data; '
HEAD += b'name="file"; filename="a.csv"\r\n\r\nemail\r\na@example.org\r\n'
TAIL = b"\r\n--x--\r\n"

WITH_LIST = ("/", "/api/upload", "/api/batches/1/rows", "/batches/1/review/add/", "/api/emails/send-bulk")
WITH_PICTURE = ("/templates/new/", "/templates/welcome_email/edit/", "/templates/picture/")
WITH_LITTLE = ("/accounts/login/", "/admin/login/", "/templates/", "/api/batches/1/reread", "/nothing", "//")
"""Pages that expect a list or a picture in a body, and some that expect neither."""


@pytest.fixture(scope="module")
def shared(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with start_daphne(tmp_path_factory.mktemp("web"), UPLOAD_MAX_BYTES=str(64 * MIB)) as server:
        yield server


@pytest.fixture
def web(shared: WebServer, sender: User) -> WebServer:
    """The server of the module, with a token of this test's sender."""
    return replace(shared, bearer=make_bearer(sender))


class Upload:
    """A request whose body comes as slowly as the test likes."""

    def __init__(
        self,
        web: WebServer,
        path: str,
        *,
        length: int | None,
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", web.port), timeout=30)
        sized = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{web.port}", sized]
        lines += [f"{name}: {value}" for name, value in ({"Content-Type": FORM} | (headers or {})).items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def send(self, data: bytes) -> None:
        with suppress(OSError):  # the server may have answered and closed
            self.socket.sendall(data)

    def answer(self) -> tuple[int, str, dict[str, str]]:
        response = HTTPResponse(self.socket)
        response.begin()
        return response.status, response.read().decode(), dict(response.headers)

    def close(self) -> None:
        self.socket.close()


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": make_bearer(user)}


def room_taken(web: WebServer) -> int:
    """The octets of the temporary files of the server that have no name any more."""
    folder = Path(f"/proc/{web.process.pid}/fd")
    total = 0
    for descriptor in folder.iterdir():
        with suppress(OSError):
            if "(deleted)" in str(descriptor.readlink()):
                total += descriptor.stat().st_size
    return total


def test_body_of_more_than_a_megabyte_is_refused_where_no_list_is_expected(web: WebServer) -> None:
    token = {"Authorization": web.bearer}
    for path in (*WITH_LITTLE, "/api/upload/"):
        with closing(Upload(web, path, length=MIB + 1, headers=token)) as announced:
            status, body, _ = announced.answer()  # no octet of the body was sent
        assert status == 413 and "1,048,576 bytes" in json.loads(body)["detail"], path
        with closing(Upload(web, path, length=None, headers=token)) as chunked:
            for _ in range(3):
                chunked.send(b"80000\r\n" + b"a" * 0x80000 + b"\r\n")
            assert chunked.answer()[0] == 413, path


def test_refusal_speaks_of_the_picture_where_one_is_expected(web: WebServer) -> None:
    for path in WITH_PICTURE:
        with closing(Upload(web, path, length=3 * MIB, headers={"Authorization": web.bearer})) as upload:
            status, body, _ = upload.answer()
        assert status == 413 and "Make the picture smaller, to 1 MB at most" in json.loads(body)["detail"], path


def test_only_a_post_has_a_large_body(web: WebServer) -> None:
    for method in ("PUT", "PATCH", "GET", "DELETE"):
        token = {"Authorization": web.bearer}
        with closing(Upload(web, "/api/upload", length=2 * MIB, headers=token, method=method)) as upload:
            assert upload.answer()[0] == 413


def test_large_body_of_a_stranger_is_refused_before_it_is_read(web: WebServer) -> None:
    before = room_taken(web)
    strangers: tuple[dict[str, str], ...]
    strangers = ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"{settings.SESSION_COOKIE_NAME}=wrong"})
    for path, headers in product(WITH_LIST, strangers):
        with closing(Upload(web, path, length=10 * MIB, headers=headers)) as upload:
            status, body, answered = upload.answer()
        assert (status, answered["WWW-Authenticate"]) == (401, "Bearer"), path
        assert json.loads(body)["detail"].startswith("You are not signed in"), path
    assert room_taken(web) < before + MIB


def test_large_body_is_refused_when_its_user_may_not_send_or_is_not_active(web: WebServer, sender: User) -> None:
    reader, former = User.objects.create_user("reader"), User.objects.create_user("former", is_active=False)
    former.groups.set(sender.groups.all())
    for user, status in ((reader, 403), (former, 401)):
        with closing(Upload(web, "/api/upload", length=10 * MIB, headers=bearer(user))) as upload:
            assert upload.answer()[0] == status


def test_stranger_is_not_invited_to_send_when_it_asks_first(web: WebServer) -> None:
    expecting = {"Expect": "100-continue"}
    with closing(Upload(web, "/api/upload", length=10 * MIB, headers=expecting)) as stranger:
        assert stranger.socket.recv(12) == b"HTTP/1.1 401"
    known = {"Authorization": web.bearer, **expecting}
    with closing(Upload(web, "/api/upload", length=len(HEAD) + 2 * MIB + len(TAIL), headers=known)) as upload:
        assert upload.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        upload.send(HEAD + b"x" * (2 * MIB) + TAIL)
        assert upload.answer()[0] in (202, 400)


def test_upload_of_a_session_is_read(web: WebServer, sender: User) -> None:
    client = Client()
    client.force_login(sender)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={key}; csrftoken={'a' * 32}", "X-CSRFToken": "a" * 32}
    rows = b"".join(b"p%d@example.org\r\n" % number for number in range(70_000))
    with closing(Upload(web, "/api/upload", length=len(HEAD + rows + TAIL), headers=headers)) as upload:
        upload.send(HEAD + rows + TAIL)
        status, body, _ = upload.answer()
    assert (status, json.loads(body)["totalEmails"]) == (202, 70_001)


def test_list_in_chunks_is_read_when_it_ends_in_the_piece_that_makes_it_large(web: WebServer) -> None:
    body = HEAD + b"\r\n" * (MIB // 2 - len(HEAD) // 2 + 8) + TAIL
    with closing(Upload(web, "/api/upload", length=None, headers={"Authorization": web.bearer})) as upload:
        upload.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        status, answer, _ = upload.answer()
    assert len(body) > MIB and (status, json.loads(answer)["totalEmails"]) == (202, 1)


def admit(web: WebServer, stack: ExitStack, headers: dict[str, str], length: int | None) -> Upload:
    """Begin an upload, and wait until the server invites it to send its body."""
    upload = stack.enter_context(
        closing(Upload(web, "/api/upload", length=length, headers=headers | {"Expect": "100-continue"}))
    )
    assert upload.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return upload


def ask(web: WebServer, headers: dict[str, str]) -> tuple[int, str, dict[str, str]]:
    """Announce a large body that will be refused."""
    with closing(Upload(web, "/api/upload", length=8 * MIB, headers=headers)) as upload:
        return upload.answer()


def send_until_accepted(web: WebServer, headers: dict[str, str], body: bytes) -> None:
    """Send a body. A place comes back a moment after its connection has ended."""
    deadline = time.monotonic() + 30
    status = 0
    while status != 202:
        assert time.monotonic() < deadline, status
        with closing(Upload(web, "/api/upload", length=len(body), headers=headers)) as upload, suppress(OSError):
            upload.send(body)
            status = upload.answer()[0]


@pytest.fixture
def limited(sender: User, tmp_path: Path) -> Iterator[WebServer]:
    """A server of this test alone, so that no earlier request has a place in it."""
    with run_daphne(sender, tmp_path, UPLOADS_PER_USER="2", UPLOADS_AT_ONCE="3") as server:
        yield server


def test_bodies_at_once_are_limited_for_a_user_and_in_all(limited: WebServer, sender: User) -> None:
    other = User.objects.create_user("other")
    other.groups.set(sender.groups.all())
    mine, others = {"Authorization": limited.bearer}, bearer(other)
    whole = HEAD + b"\r\n" * (2 * MIB) + TAIL
    with ExitStack() as stack:
        first, _ = (admit(limited, stack, mine, 8 * MIB) for _ in range(2))
        status, body, headers = ask(limited, mine)
        assert status == 429 and "2 large requests already" in body and int(headers["Retry-After"]) > 0
        admit(limited, stack, others, 8 * MIB)
        status, body, headers = ask(limited, others)
        assert status == 503 and "as it may at once" in body and int(headers["Retry-After"]) > 0
        assert limited.get("/api/batches")[0] == 200  # small requests go on
        first.close()
        send_until_accepted(limited, mine, whole)
    send_until_accepted(limited, mine, whole)
    assert Batch.objects.count() == 2


def test_room_on_the_disk_is_limited(sender: User, tmp_path: Path) -> None:
    own = {"UPLOAD_MAX_BYTES": str(8 * MIB), "UPLOADS_TOTAL_MAX_BYTES": str(10 * MIB)}
    with run_daphne(sender, tmp_path, **own) as web, ExitStack() as stack:
        mine = {"Authorization": web.bearer}
        admit(web, stack, mine, 7 * MIB)
        status, body, _ = ask(web, mine)
        assert status == 503 and "leave no room" in body
        chunked = stack.enter_context(closing(Upload(web, "/api/upload", length=None, headers=mine)))
        for _ in range(5):
            chunked.send(b"100000\r\n" + b"a" * MIB + b"\r\n")
        status, body, _ = chunked.answer()
        assert status == 503 and "leave no room" in body


def test_body_that_takes_too_long_is_given_up(sender: User, tmp_path: Path) -> None:
    with run_daphne(sender, tmp_path, UPLOAD_MAX_SECONDS="1") as web:
        for path, length in (("/accounts/login/", 1000), ("/api/upload", 4 * MIB)):
            with closing(Upload(web, path, length=length, headers={"Authorization": web.bearer})) as upload:
                upload.send(b"a")
                status, body, _ = upload.answer()
            assert status == 408 and "too slowly" in body


def test_body_of_a_websocket_handshake_is_refused(web: WebServer) -> None:
    headers = {"Authorization": web.bearer, "Upgrade": "websocket", "Connection": "Upgrade"}
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    with closing(Upload(web, "/ws/batches/", length=7, headers=headers, method="GET")) as upload:
        upload.send(b"\x02\x81\0\0\0\0x")
        assert upload.answer()[0] == 400


def test_others_are_answered_when_a_stranger_sends_chunks_of_one_octet(web: WebServer) -> None:
    with ExitStack() as stack:
        uploads = [stack.enter_context(closing(Upload(web, "/accounts/login/", length=None))) for _ in range(2)]
        threads = [Thread(target=upload.send, args=(b"1\r\na\r\n" * 600_000,)) for upload in uploads]
        for thread in threads:
            thread.start()
        began_at = time.monotonic()
        assert web.get("/api/health")[0] == 200
        assert time.monotonic() - began_at < 3
        for thread, upload in zip(threads, uploads, strict=True):
            status, body, _ = upload.answer()
            assert status == 400 and "Send it in larger chunks" in json.loads(body)["detail"]
            thread.join()


def test_list_is_read_when_each_line_is_a_chunk(web: WebServer) -> None:
    lines = [HEAD, *(b"person-%d@example.org\r\n" % number for number in range(10_000)), TAIL]
    with closing(Upload(web, "/api/upload", length=None, headers={"Authorization": web.bearer})) as upload:
        upload.send(b"".join(b"%x\r\n%b\r\n" % (len(line), line) for line in lines) + b"0\r\n\r\n")
        status, body, _ = upload.answer()
    assert (status, json.loads(body)["totalEmails"]) == (202, 10_001)
