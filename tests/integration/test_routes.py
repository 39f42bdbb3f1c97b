"""Every address, walked as every person. A new address without a row in ``route_table`` fails here."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.conf import LazySettings
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver, resolve
from django.utils import timezone

from batches import redis_client
from batches.credentials import Credentials
from batches.directory import list_some
from batches.jobs import creation
from batches.jobs.failure_groups import find_key
from batches.models import (
    ApiToken,
    Batch,
    BatchStatus,
    Confirmation,
    EmailJob,
    EmailTemplate,
    JobStatus,
    LetterFrame,
    Person,
    Picture,
    TokenScope,
)
from batches.pictures import store_picture
from batches.routing import websockets
from batches.subscriptions import Refusal, find_subscription
from batches.suppressions import find_digest
from batches.template_versions import save_template
from batches.unsubscribe_tokens import make_token
from batches.user_accounts import make_link
from tests.conftest import MakeBatch, MakeJob, MakeUser, join_groups
from tests.integration.conftest import Upload
from tests.integration.route_table import (
    ACCOUNTS,
    ADMIN,
    ADMIN_EXCEPTIONS,
    ADMIN_REDIRECTS,
    ADMIN_RULE,
    API,
    PAGES,
    PEOPLE,
    SOCKETS,
    STREAMS,
    Row,
    read_account_rows,
    read_admin_rows,
    read_rows,
    routes_of,
)
from tests.integration.web.test_letter_editor import make_png
from tests.test_architecture import example_of

pytestmark = pytest.mark.django_db

LIST = "Name,E-Mail\nAda,ada@example.org\nBob,bob@example.org\n"
NOT_DONE = (401, 403, 404, 405)
"""After such an answer, nothing may have changed."""

PARTS = {"name": "New", "subject": "S", "text": "T"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROWS_PER_CASE = 15

DESCRIPTIONS = ("/api/docs", "/api/openapi.json")
"""Pages of the library for people who are signed in. They answer every method with the same text."""

LEADS_ON = ("/accounts/", "/language/", "/join/")
"""Addresses that lead a stranger on, and not to the sign-in."""

Walk = Callable[[Row, str], HttpResponse]


def make_body(row: Row, ids: Mapping[str, object]) -> dict[str, Any]:
    """Return the arguments of ``client.post`` for a row."""
    recipients = [{"email": "ann@example.org", "name": "Ann"}]
    bodies: dict[str, object] = {
        "/api/emails/send-bulk": {"recipients": recipients},
        "/api/emails/send-bulk#group": {"roleFilter": "Board"},
        "/api/suppressions": {"address": "ann@example.org"},
        "/api/batches/{draft}/send": {},
        "/api/batches/{asked}/approve": {"digest": ids["digest"]},
        "/api/batches/{asked}/refuse": {"reason": "No."},
        "/api/templates": PARTS | {"key": "new"},
        "/api/templates/welcome_email": PARTS,
        "/api/batches/{ended}/replay": {"which": "failed"},
        "/api/batches/{draft}/fields": {"names": {"name": "first_name"}},
        "/api/batches/{draft}/reread": {"encoding": "utf-8"},
        "/api/templates/welcome_email/preview": {"fields": {"name": "Ann"}},
        "/api/templates/welcome_email/preview#batch": {"batchId": ids["draft"]},
    }
    if row.address in bodies:
        return {"data": json.dumps(bodies[row.address]), "content_type": "application/json"}
    forms: dict[str, dict[str, object]] = {
        "/api/upload": {"file": SimpleUploadedFile("list.csv", LIST.encode()), "draft": "true"},
        "/api/upload#sent": {"file": SimpleUploadedFile("list.csv", LIST.encode())},
        "/batches/{asked}/approval/approve/": {"digest": ids["digest"]},
        "/batches/{asked}/approval/refuse/": {"reason": "No."},
        "/templates/new/": {"name": "New"},
        "/templates/welcome_email/edit/": {"name": "New"},
        "/api/suppressions/import": {"file": SimpleUploadedFile("list.csv", LIST.encode())},
        "/api/batches/{draft}/rows": {"file": SimpleUploadedFile("list.csv", LIST.encode())},
        "/batches/{draft}/name/": {"name": "Parents"},
        "/batches/{scheduled}/time/": {"scheduled_at": "2100-01-01 09:00"},
        "/language/": {"language": "de"},
        "/templates/frame/": {"accent": "#3d56d6"},
        "/templates/picture/": {"picture": SimpleUploadedFile("hall.png", make_png(3))},
    }
    return {"data": forms.get(row.address, {})}


@pytest.fixture
def people(sender: User, staff: User, make_user: MakeUser) -> dict[str, User | None]:
    """The user of each person of the table."""
    join_groups(staff, "Senders")  # so that there is no difference between the rows but the permissions
    return {
        "stranger": None,
        "reader": make_user("reader"),
        "sender": sender,
        "other": make_user("other", "Senders"),
        "approver": make_user("approver", "Approvers"),
        "editor": make_user("editor", "Template editors"),
        "auditor": make_user("auditor", "Auditors"),
        "clerk": make_user("clerk", is_staff=True),
        "boss": staff,
    }


@pytest.fixture
def more_ids(make_batch: MakeBatch, make_job: MakeJob, make_user: MakeUser, sender: User) -> dict[str, object]:
    """Those ids that are of batches with a past or a future, and of what is no batch."""
    ended = make_batch(BatchStatus.COMPLETED, sent=1, failed=1, unknown=1)
    make_job(ended, JobStatus.COMPLETED, completed_at=ended.created_at)
    list_some(ended.pk)
    scheduled = make_batch(BatchStatus.SCHEDULED, pending=1)
    make_job(scheduled, JobStatus.SCHEDULED, scheduled_at=timezone.now() + timedelta(days=1))
    [invited, invitation] = make_link(make_user("invited"), site="").strip("/").split("/")[1:]
    return {
        "ended": ended.pk,
        "scheduled": scheduled.pk,
        "failure": find_key(""),  # of the failed email, which has no reply
        "person": Person.objects.earliest("pk").pk,
        "picture": store_picture(make_png(), name="logo.png", by=sender).digest,
        "invited": invited,
        "invitation": invitation,
    }


@pytest.fixture
def ids(
    upload: Upload,
    make_batch: MakeBatch,
    make_job: MakeJob,
    more_ids: dict[str, object],
    staff: User,
    sender: User,
    welcome: EmailTemplate,
    settings: LazySettings,
) -> dict[str, object]:
    """The ids that fill the addresses. Every batch is the sender's."""
    live, paused = make_batch(BatchStatus.PENDING, pending=1), make_batch(BatchStatus.PAUSED, pending=1)
    job = make_job(live, JobStatus.QUEUED)
    make_job(paused, JobStatus.PAUSED)
    settings.APPROVAL_ABOVE = 2
    asked = upload(LIST + "Cyd,cyd@example.org\n")
    with pytest.raises(creation.ApprovalAsked) as question:
        creation.create_job(asked, template=welcome, user=sender)
    save_template(welcome, by=None)
    board = Group.objects.create(name="Board")
    board.user_set.add(staff)
    return more_ids | {
        "draft": upload(LIST).pk,
        "asked": asked.pk,
        "digest": question.value.approval.digest,
        "live": live.pk,
        "paused": paused.pk,
        "job": job.pk,
        "user": sender.pk,
        "template": welcome.pk,
        "group": board.pk,
        "email": live.emails.get().pk,
        "link": make_token(1, find_digest("ann@example.org")),
    }


@pytest.fixture
def inbox(settings: LazySettings, tmp_path: Path) -> None:
    """An empty inbox of the local stack."""
    settings.DATA_DIR = tmp_path


@pytest.fixture
def walk(people: dict[str, User | None], ids: dict[str, object], inbox: None) -> Walk:
    """Send the request of a row as a person, or with a bearer token, and take back what it changed."""

    def send(row: Row, person: str) -> HttpResponse:
        with redis_client.connect() as redis:
            redis.flushall()  # a letter check, for example, that the row before has begun
        if person.startswith("Bearer "):
            client = Client(headers={"Authorization": person})
        else:
            client = Client()
            if user := people[person]:
                client.force_login(user)
                prove_again(client, user)
        address = row.address.partition("#")[0].format_map(ids)
        before = take_stock()
        with transaction.atomic():
            body = {} if row.method == "GET" else make_body(row, ids)
            answer: Any = getattr(client, row.method.lower())(address, **body)
            after = take_stock()
            transaction.set_rollback(True)
        if answer.status_code in NOT_DONE or is_sent_to_sign_in(answer):
            assert after == before, f"{row.method} {row.address} as {person} was refused, and yet something changed"
        return cast(HttpResponse, answer)

    return send


def prove_again(client: Client, user: User) -> None:
    """Let the session be of somebody who entered the password a moment ago."""
    session = client.session
    session["account_authentication_methods_user"] = str(user.pk)
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "password", "at": time.time()}]
    session.save()


def take_stock() -> list[object]:
    """Return what a request could change: batches, jobs, templates with their frame and pictures, and users."""
    return [
        list(Batch.objects.order_by("pk").values_list("pk", "name", "status", "total_count", "merge_fields")),
        list(EmailJob.objects.order_by("pk").values_list("pk", "status", "scheduled_at")),
        list(EmailTemplate.objects.order_by("pk").values_list("key", "subject", "is_default")),
        list(User.objects.order_by("pk").values_list("username", "is_active", "is_superuser", "password")),
        list(User.groups.through.objects.order_by("pk").values_list("user", "group")),
        list(LetterFrame.objects.order_by("pk").values_list("accent", "footer", "logo")),
        list(Picture.objects.order_by("pk").values_list("digest")),
        list(Confirmation.objects.order_by("pk").values_list("thing", "at")),
    ]


def is_sent_to_sign_in(answer: HttpResponse) -> bool:
    return answer.status_code == 302 and "login/?next=" in answer.headers["Location"]


def split(rows: list[Row]) -> dict[str, Any]:
    """Put a few rows into each case, because to make all people and batches takes longer than to walk a row."""
    cases = [rows[begin : begin + ROWS_PER_CASE] for begin in range(0, len(rows), ROWS_PER_CASE)]
    return {"argvalues": cases, "ids": [f"{case[0].method} {case[0].address} ..." for case in cases]}


ROWS = [*read_rows(PAGES, API, STREAMS), *read_account_rows(ACCOUNTS), *read_admin_rows(ADMIN)]


@pytest.mark.parametrize("rows", **split([row for row in ROWS if row not in read_rows(STREAMS)]))
def test_each_person_gets_what_the_table_says(rows: list[Row], walk: Walk) -> None:
    for row in rows:
        check_row(row, walk)


def check_row(row: Row, walk: Walk) -> None:
    answers = {person: walk(row, person) for person in PEOPLE}
    found = {person: answer.status_code for person, answer in answers.items()}
    assert found == row.statuses, f"{row.method} {row.address} {' '.join(map(str, found.values()))}"
    if row.statuses["stranger"] == 302 and not row.address.startswith(LEADS_ON):
        assert is_sent_to_sign_in(answers["stranger"])
    for answer in answers.values():
        if answer.status_code == 403 and row.address.startswith("/api/"):
            assert json.loads(answer.content)["detail"].startswith("You may not"), "a refusal says what one may not do"


@pytest.mark.django_db(transaction=True)  # each of these gives its connection back
@pytest.mark.parametrize("row", read_rows(STREAMS), ids=lambda row: row.address)
def test_each_person_may_follow_and_download_what_the_table_says(
    row: Row, people: dict[str, User | None], ids: dict[str, object]
) -> None:
    found = {}
    for person, user in people.items():
        client = Client()
        if user:
            client.force_login(user)
        found[person] = client.get(row.address.format_map(ids)).status_code
    assert found == row.statuses


@pytest.mark.parametrize("row", read_rows(SOCKETS), ids=lambda row: row.address)
def test_each_person_may_watch_what_the_table_says(
    row: Row, people: dict[str, User | None], ids: dict[str, object]
) -> None:
    batch_id = ids["live"] if "{live}" in row.address else None
    found = {}
    for person, user in people.items():
        client = Client()
        if user:
            client.force_login(user)
        key = client.session.session_key if user else None
        answer = find_subscription(Credentials(bearer=None, session_key=key), batch_id)  # type: ignore[arg-type]
        found[person] = answer.value if isinstance(answer, Refusal) else 200
    assert found == row.statuses


TWO_SCOPES = ("/api/templates/welcome_email/preview#batch",)
"""Rows for which a token needs a second scope: ``test_tokens`` has them."""

TOKEN_ROWS = [row for row in read_rows(API) if row.address not in DESCRIPTIONS]


def find_scope(row: Row) -> TokenScope | None:
    """Return the scope that a token needs for a row. None: the address needs no token."""
    if row.address in ("/api/health", "/api/"):
        return None
    if row.method == "GET":
        return TokenScope.READ
    return TokenScope.TEMPLATES if row.address.startswith("/api/templates") else TokenScope.SEND


@pytest.mark.parametrize("rows", **split(TOKEN_ROWS))
def test_token_does_what_its_scope_and_its_user_allow(
    rows: list[Row], walk: Walk, people: dict[str, User | None]
) -> None:
    found, expected = {}, {}
    for person, scope in product(("reader", "sender", "boss"), TokenScope):
        user = people[person]
        assert user is not None
        token = ApiToken.objects.issue(user, scopes=[scope])
        for row in rows:
            key = f"{row.method} {row.address}", person, scope.value
            found[key] = walk(row, f"Bearer {token}").status_code
            is_allowed = find_scope(row) in (None, scope) and row.address not in TWO_SCOPES
            expected[key] = row.statuses[person] if is_allowed else 403
    assert found == expected


def test_every_address_has_a_row() -> None:
    example: defaultdict[str, int] = defaultdict(lambda: 1)
    walked = {resolve(row.address.partition("#")[0].partition("?")[0].format_map(example)).route for row in ROWS}
    known = set(routes_of(get_resolver().url_patterns))
    missing = {route for route in known - walked if not route.startswith("admin/")}
    assert missing == set(), "add a row for each to tests/integration/route_table.py"
    assert walked - known == set(), "these rows walk an address that does not exist"


ADMIN_ROUTES = sorted(route for route in set(routes_of(get_resolver().url_patterns)) if route.startswith("admin/"))


def test_admin_gives_nothing_to_staff_without_permissions(people: dict[str, User | None]) -> None:
    """Also what the table does not list, such as each page of django-rq."""
    routes = [route for route in ADMIN_ROUTES if not route.endswith(ADMIN_REDIRECTS)]
    for person, expected in ADMIN_RULE.items():
        client, user = Client(), people[person]
        assert user is not None
        for route, method in product(routes, ("GET", "POST")):
            client.force_login(user)  # the request before may have been the way out
            answer = client.generic(method, f"/{example_of(route)}")
            is_own = route == "admin/" or route.startswith(tuple(set(ADMIN_EXCEPTIONS) - {"admin/"}))
            if is_own:
                assert answer.status_code in (200, 301, 302, 403, 404, 405)
            elif answer.headers.get("Location") != "/admin/":  # there is no such object
                assert answer.status_code == expected, f"{method} {route} as {person}"


def test_every_socket_has_a_row() -> None:
    known = {str(route.pattern) for route in websockets.routes}
    walked = {row.address.replace("{live}", "<int:batch_id>").removeprefix("/") for row in read_rows(SOCKETS)}
    assert known - walked == {""}, "the last one refuses every other address"


def test_other_methods_are_refused(walk: Walk, people: dict[str, User | None], ids: Any) -> None:
    """Only the methods that the table lists do anything. HEAD and OPTIONS change nothing."""
    client = Client()
    boss = people["boss"]
    assert boss is not None
    client.force_login(boss)
    before = take_stock()
    for address in sorted({row.address.partition("?")[0] for row in read_rows(PAGES, API)} - set(DESCRIPTIONS)):
        listed = {row.method for row in ROWS if re.split("[?#]", row.address)[0] == re.split("[?#]", address)[0]}
        for method in set(METHODS) - listed - {"GET"}:
            answer = client.generic(method, address.partition("#")[0].format_map(ids))
            assert answer.status_code in (302, 404, 405), f"{method} {address}: {answer.status_code}"
            assert take_stock() == before, f"{method} {address}"
