"""Answers to one approval that come at the same time, and changes during an answer: one job, of what was approved."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import Client

from batches import intake
from batches.jobs import approvals, lifecycle
from batches.models import ApprovalStatus, Batch, EmailJob, EmailTemplate
from batches.permissions import NotPermitted
from batches.rendering.template import MessageParts
from tests.conftest import MakeUser
from tests.integration.jobs.test_approvals import LIMIT, ask, make_draft


@pytest.fixture(autouse=True)
def limit(settings: LazySettings) -> None:
    settings.APPROVAL_ABOVE = LIMIT


@pytest.fixture
def draft(sender: User) -> Batch:
    return make_draft(sender)


def answer_in_threads(*answers: Callable[[], object]) -> list[object]:
    """Run the answers at the same time. A refusal is the answer of its thread."""

    def run(answer: Callable[[], object]) -> object:
        try:
            return answer()
        except (lifecycle.JobRefused, NotPermitted, intake.ListRefused) as exc:
            return exc
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(answers)) as pool:
        return list(pool.map(run, answers))


@pytest.mark.django_db(transaction=True)
def test_one_job_is_made_when_many_approve_at_once(
    draft: Batch, welcome: EmailTemplate, sender: User, make_user: MakeUser
) -> None:
    asked = ask(draft, welcome, sender)
    approvers = [make_user(f"approver{number}", "Approvers") for number in range(6)]

    def approve_as(user: User) -> Callable[[], object]:
        return lambda: approvals.approve(Batch.objects.get(), digest=asked.digest, by=user)

    answers = answer_in_threads(*map(approve_as, approvers))
    assert len([answer for answer in answers if isinstance(answer, EmailJob)]) == 1
    assert EmailJob.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rival", ["edit", "refuse", "withdraw", "rename"])
def test_job_has_the_parts_that_were_approved_when_something_happens_at_the_same_time(
    rival: str, draft: Batch, welcome: EmailTemplate, sender: User, make_user: MakeUser
) -> None:
    approver = make_user("approver", "Approvers")
    asked = ask(draft, welcome, sender)
    rivals = {
        "edit": lambda: EmailTemplate.objects.update(text="Changed"),
        "refuse": lambda: approvals.refuse(Batch.objects.get(), by=approver, reason="No."),
        "withdraw": lambda: approvals.withdraw(Batch.objects.get(), by=sender),
        "rename": lambda: intake.rename_merge_fields(Batch.objects.get(), {"name": "other"}),
    }
    answer_in_threads(lambda: approvals.approve(Batch.objects.get(), digest=asked.digest, by=approver), rivals[rival])
    asked.refresh_from_db()
    jobs = list(EmailJob.objects.all())
    assert (asked.status == ApprovalStatus.APPROVED) == bool(jobs)
    if rival == "edit":
        approvals.find_current(draft)
    assert all(MessageParts.of(job) == MessageParts.of(welcome) for job in jobs)
    draft.refresh_from_db()
    assert not jobs or draft.merge_fields == ["name"]


@pytest.mark.django_db(transaction=True)
def test_look_waits_for_nobody_who_changes_the_list(draft: Batch, welcome: EmailTemplate, sender: User) -> None:
    """A long list is read again for minutes, and every sweep looks at what waits."""
    asked = ask(draft, welcome, sender)
    EmailTemplate.objects.update(text="Changed")

    def look() -> int:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            return approvals.void_changed()
        finally:
            connections.close_all()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        Batch.objects.select_for_update().get(pk=draft.pk)
        assert pool.submit(look).result() == 0
    assert approvals.void_changed() == 1
    asked.refresh_from_db()
    assert asked.status == ApprovalStatus.VOID


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("who", "path"), [("approver", "approval/approve/"), ("sender", "review/send/")])
def test_page_is_not_found_when_the_draft_is_discarded_while_it_waits(
    who: str, path: str, draft: Batch, welcome: EmailTemplate, sender: User, make_user: MakeUser
) -> None:
    digest = ask(draft, welcome, sender).digest
    client = Client()
    client.force_login({"approver": make_user("approver", "Approvers"), "sender": sender}[who])
    form = {"digest": digest, "reviewed": digest, "template": welcome.key}

    def post() -> int:
        try:
            return client.post(f"/batches/{draft.pk}/{path}", form).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Batch.objects.select_for_update().get(pk=draft.pk)
            answer = pool.submit(post)
            while not answer.done() and not is_waiting_for_a_lock():
                pass
            intake.discard_draft(draft)
        assert answer.result() == 404


def is_waiting_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        [(is_waiting,)] = cursor.fetchall()
    return bool(is_waiting)
