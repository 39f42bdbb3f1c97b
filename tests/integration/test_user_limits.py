"""What one user may send to at once and in 24 hours, at each door."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.utils import timezone

from batches.intake import import_csv
from batches.jobs import creation
from batches.jobs.user_limits import LargeListRefused, LimitReached, find_refusal
from batches.message_tests import send_test_message
from batches.models import Batch, BatchStatus, EmailJob, EmailStatus, EmailTemplate, JobKind, JobStatus
from batches.permissions import Permission
from tests.conftest import permit
from tests.integration.web.conftest import reviewed

SendList = Callable[..., EmailJob]


@pytest.fixture
def send(sender: User, welcome: EmailTemplate) -> SendList:
    """Send a list of so many recipients as the sender."""

    def run(count: int, *, user: User | None = sender, **options: object) -> EmailJob:
        batch = make_draft(user, count)
        return creation.create_job(batch, template=welcome, user=user, **options)  # type: ignore[arg-type]

    return run


def make_draft(user: User | None, count: int) -> Batch:
    rows = "".join(f"p{number}@example.org,P{number}\n" for number in range(count))
    return import_csv(io.BytesIO(f"email,name\n{rows}".encode()), filename="list.csv", user=user).batch


def make_older(job: EmailJob, hours: float) -> None:
    EmailJob.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(hours=hours))


@pytest.fixture
def api(client: Client, sender: User, welcome: EmailTemplate) -> Client:
    client.force_login(sender)
    return client


def send_bulk(client: Client, count: int, **headers: str) -> tuple[int, dict[str, object], str]:
    recipients = [{"email": f"r{number}@example.org", "name": "R"} for number in range(count)]
    body = json.dumps({"recipients": recipients})
    answer = client.post("/api/emails/send-bulk", body, content_type="application/json", headers=headers)
    return answer.status_code, answer.json(), answer.headers.get("Retry-After", "")


def test_recipients_are_counted_over_24_hours(send: SendList, settings: LazySettings) -> None:
    settings.USER_DAILY_RECIPIENTS = 10
    make_older(send(6), 23)
    make_older(send(4), 2)
    with pytest.raises(LimitReached) as refused:
        send(1)
    assert str(refused.value).startswith(
        "You have sent to 10 recipients in the last 24 hours, and 10 are allowed. This is for 1 more. Try again "
    )
    assert 3500 < (refused.value.retry_after_seconds or 0) <= 3601, "the six of 23 hours ago end in an hour"
    assert EmailJob.objects.count() == 2
    EmailJob.objects.filter(total_count=6).update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    send(6)


def test_list_that_is_longer_than_the_limit_is_never_possible(send: SendList, settings: LazySettings) -> None:
    settings.USER_DAILY_RECIPIENTS = 3
    with pytest.raises(LimitReached) as refused:
        send(4)
    assert refused.value.retry_after_seconds is None
    assert "Make the list shorter" in str(refused.value)
    send(3)


def test_one_batch_is_once(send: SendList, settings: LazySettings) -> None:
    settings.USER_DAILY_BATCHES = 1
    send(1)
    with pytest.raises(LimitReached, match="You have sent once in the last 24 hours, and once is allowed"):
        send(1)


def test_batches_are_counted_over_24_hours(send: SendList, settings: LazySettings) -> None:
    settings.USER_DAILY_BATCHES = 2
    first = send(1)
    make_older(first, 20)
    send(1)
    with pytest.raises(LimitReached, match="You have sent 2 times in the last 24 hours, and 2 times are allowed") as no:
        send(1)
    assert abs((no.value.retry_after_seconds or 0) - 4 * 3600) < 60
    make_older(first, 24.01)
    send(1)


def test_lasting_limit_is_named_if_two_are_reached(send: SendList, settings: LazySettings) -> None:
    settings.USER_DAILY_BATCHES, settings.USER_DAILY_RECIPIENTS = 1, 5
    send(1)
    with pytest.raises(LimitReached) as refused:
        send(6)
    assert refused.value.retry_after_seconds is None


def test_limits_are_off_by_default_and_not_the_operators(
    send: SendList, sender: User, settings: LazySettings, welcome: EmailTemplate
) -> None:
    for _ in range(3):
        send(2)
    settings.USER_DAILY_BATCHES = settings.USER_DAILY_RECIPIENTS = settings.SEND_LARGE_ABOVE = 1
    send(5, user=None)
    with pytest.raises(LargeListRefused):
        send(5)


def test_each_user_has_limits_of_their_own(send: SendList, staff: User, settings: LazySettings) -> None:
    settings.USER_DAILY_RECIPIENTS = 2
    send(2)
    send(2, user=staff)
    with pytest.raises(LimitReached):
        send(1, user=staff)


def test_scheduled_jobs_count_when_they_are_made(send: SendList, settings: LazySettings) -> None:
    settings.USER_DAILY_RECIPIENTS = 2
    send(2, scheduled_at=timezone.now() + timedelta(days=30))
    with pytest.raises(LimitReached):
        send(1, scheduled_at=timezone.now() + timedelta(days=60))


def test_replays_and_tests_count(send: SendList, sender: User, welcome: EmailTemplate, settings: LazySettings) -> None:
    job = send(3)
    job.batch.emails.update(status=EmailStatus.FAILED)
    EmailJob.objects.filter(pk=job.pk).update(status=JobStatus.FAILED, completed_at=timezone.now())
    Batch.objects.filter(pk=job.batch_id).update(status=BatchStatus.FAILED)
    settings.USER_DAILY_RECIPIENTS = 5
    with pytest.raises(LimitReached):
        creation.replay_batch(job.batch, which=JobKind.FAILED, user=sender)
    assert set(job.batch.emails.values_list("status", flat=True)) == {EmailStatus.FAILED}, "nothing was reset"
    draft = make_draft(sender, 1)
    settings.USER_DAILY_RECIPIENTS = 3
    with pytest.raises(LimitReached):
        send_test_message(draft, {"name": "Ann"}, to=["me@example.org"], template=welcome, subject=None, user=sender)
    assert Batch.objects.count() == 2, "a test that is refused leaves no batch"


def test_two_at_the_same_time_cant_both_use_what_is_left(
    transactional_db: None, sender: User, welcome: EmailTemplate, settings: LazySettings
) -> None:
    settings.USER_DAILY_RECIPIENTS = 3
    drafts = [make_draft(sender, 2) for _ in range(4)]
    barrier = Barrier(len(drafts))

    def run(draft: Batch) -> bool:
        try:
            barrier.wait(20)
            creation.create_job(draft, template=welcome, user=sender)
            return True
        except LimitReached:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(drafts)) as pool:
        assert sorted(pool.map(run, drafts)) == [False, False, False, True]
    assert EmailJob.objects.count() == 1


def test_large_list_needs_a_permission(send: SendList, sender: User, settings: LazySettings) -> None:
    settings.SEND_LARGE_ABOVE = 2
    send(2)
    with pytest.raises(LargeListRefused, match="This is for 3 recipients, and from 3 on it needs a permission"):
        send(3)
    send(3, user=permit(sender, Permission.SEND_LARGE_BATCH))


def test_api_answers_429_and_makes_no_batch(api: Client, settings: LazySettings) -> None:
    settings.USER_DAILY_RECIPIENTS = 3
    assert send_bulk(api, 2)[0] == 202
    status, answer, retry_after = send_bulk(api, 2)
    assert status == 429 and "Try again tomorrow at " in str(answer["detail"])
    assert 86000 < int(retry_after) <= 86401
    upload = {"file": SimpleUploadedFile("list.csv", b"email,name\na@example.org,A\nb@example.org,B\n")}
    assert api.post("/api/upload", upload).status_code == 429
    assert Batch.objects.count() == EmailJob.objects.count() == 1


def test_repeated_request_finds_its_job_after_the_limit_is_used_up(api: Client, settings: LazySettings) -> None:
    settings.USER_DAILY_BATCHES = 1
    first = send_bulk(api, 2, **{"Idempotency-Key": "once"})
    again = send_bulk(api, 2, **{"Idempotency-Key": "once"})
    assert first == again and first[0] == 202
    assert send_bulk(api, 2, **{"Idempotency-Key": "twice"})[0] == 429


def test_pages_answer_429_with_the_form(api: Client, sender: User, settings: LazySettings, send: SendList) -> None:
    settings.USER_DAILY_RECIPIENTS = 2
    send(2)
    draft = make_draft(sender, 1)
    shown = api.get(f"/batches/{draft.pk}/review/").content.decode()
    assert "You have sent to 2 recipients in the last 24 hours" in shown
    form = {"template": "welcome_email", "to": "me@example.org", **reviewed(api, draft)}
    for action in ("send", "test"):
        answer = api.post(f"/batches/{draft.pk}/review/{action}/", form)
        assert answer.status_code == 429, action
        assert "Try again tomorrow at " in answer.content.decode()
    upload = {"file": SimpleUploadedFile("l.csv", b"email,name\na@x.org,A\n"), "template": "welcome_email", "key": "k"}
    assert api.post("/", {**upload, "then": "send"}).status_code == 429
    assert Batch.objects.count() == 2


def test_admin_says_why_users_are_not_sent_to(
    client: Client, staff: User, settings: LazySettings, send: SendList
) -> None:
    settings.USER_DAILY_RECIPIENTS = 1
    send(1, user=staff)
    form = {"action": "send_email", "_selected_action": [staff.pk], "count": "1", "template": "welcome_email"}
    client.force_login(staff)
    answer = client.post("/admin/auth/user/", {**form, "key": "2f1b1f0e-7d7c-4b8e-9a52-0a4f3c2b1a00"})
    assert "You have sent to 1 recipients" in answer.content.decode()
    assert Batch.objects.count() == 1


def test_command_with_a_user_has_the_users_limits(
    sender: User, settings: LazySettings, send: SendList, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings.USER_DAILY_RECIPIENTS = 1
    send(1)
    path = tmp_path_factory.mktemp("lists") / "list.csv"
    path.write_text("email,name\na@example.org,A\n")
    with pytest.raises(CommandError, match="You have sent to 1"):
        call_command("sendbatch", str(path), "--template", "welcome_email", "--user", "sender")
    assert Batch.objects.count() == 1


def test_refusal_is_known_before_somebody_asks(send: SendList, sender: User, settings: LazySettings) -> None:
    assert find_refusal(sender, 10**6) is None
    settings.USER_DAILY_RECIPIENTS = 5
    assert isinstance(find_refusal(sender, 6), LimitReached)
    assert find_refusal(sender, 5) is None
    assert find_refusal(None, 6) is None
