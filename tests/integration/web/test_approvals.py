"""The pages of approvals, the review that is compared at the send, and the part of a page that says what waits."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from batches import intake
from batches.jobs import creation
from batches.models import (
    DEFAULT_SENDER,
    Approval,
    ApprovalStatus,
    Batch,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    Sender,
    SuppressionReason,
)
from batches.suppressions import suppress
from tests.conftest import MakeUser, join_groups
from tests.integration.jobs.test_approvals import LIMIT, end
from tests.integration.web.conftest import reviewed

LIST = "email,name\n" + "".join(f"p{number}@example.org,<b>P{number}</b>\n" for number in range(LIMIT + 1))


@pytest.fixture
def draft(sender: User, settings: LazySettings) -> Batch:
    settings.APPROVAL_ABOVE = LIMIT
    return intake.import_csv(BytesIO(LIST.encode()), filename="list.csv", user=sender).batch


@pytest.fixture
def approver(make_user: MakeUser) -> User:
    return make_user("approver", "Approvers")


@pytest.fixture
def approving(approver: User) -> Client:
    client = Client()
    client.force_login(approver)
    return client


def address(draft: Batch, name: str = "approval") -> str:
    return reverse(name, args=[draft.pk])


def send(page: Client, draft: Batch, **form: str) -> str:
    """Send from the review, and return the text of the page that answers."""
    data = {"template": "welcome_email", **reviewed(page, draft), **form}
    return page.post(address(draft, "review-send"), data, follow=True).content.decode()


def test_page_of_the_batch_says_what_it_waits_for(page: Client, draft: Batch, welcome: EmailTemplate) -> None:
    assert "Ask for approval to send to 3 recipients" in page.get(address(draft, "review")).content.decode()
    text = send(page, draft)
    assert "It waits for approval." in text
    assert "A second person must approve it before it is sent." in text
    assert not EmailJob.objects.exists()
    assert "It waits for approval." in page.get(address(draft, "review")).content.decode()


def test_approver_sees_what_would_go_out(page: Client, approving: Client, draft: Batch, welcome: EmailTemplate) -> None:
    send(page, draft)
    assert address(draft) in approving.get(reverse("approvals")).content.decode()
    text = approving.get(address(draft), {"row": "3"}).content.decode()
    assert "p0@example.org" in text
    assert "Hello &lt;b&gt;P1&lt;/b&gt;" in text
    frame = approving.get(address(draft, "approval-message"), {"row": "3"})
    assert "<p>Dear &lt;b&gt;P1&lt;&#x2f;b&gt;</p>" in frame.content.decode()
    assert frame.headers["Content-Security-Policy"].startswith(
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'"
    )


def test_approver_sees_how_many_get_no_mail(
    page: Client, approving: Client, draft: Batch, welcome: EmailTemplate
) -> None:
    send(page, draft)
    suppress(draft.emails.order_by("row")[0].address, reason=SuppressionReason.MANUAL)
    assert "on the do-not-send list: 1 entered by hand" in approving.get(address(draft)).content.decode()


def test_approver_sends_exactly_what_was_shown(
    page: Client, approving: Client, draft: Batch, welcome: EmailTemplate, sender: User
) -> None:
    send(page, draft, subject="", scheduled_at="2099-01-01T09:00")
    asked = Approval.objects.get()
    refused = approving.post(address(draft, "approval-approve"), {"digest": "0" * 96})
    assert (refused.status_code, EmailJob.objects.count()) == (409, 0)
    answer = approving.post(address(draft, "approval-approve"), {"digest": asked.digest}, follow=True)
    assert "You approved “list.csv”. It goes out to 3 recipients at its time." in answer.content.decode()
    job = EmailJob.objects.get()
    assert (job.created_by, job.scheduled_at) == (sender, asked.scheduled_at)
    again = approving.post(address(draft, "approval-approve"), {"digest": asked.digest})
    assert (again.status_code, EmailJob.objects.count()) == (409, 1)
    assert "The last one is approved" in again.content.decode()


def test_asker_reads_why_it_was_refused(page: Client, approving: Client, draft: Batch, welcome: EmailTemplate) -> None:
    send(page, draft)
    assert approving.post(address(draft, "approval-refuse"), {"reason": ""}).status_code == 409
    approving.post(address(draft, "approval-refuse"), {"reason": "The <date> is wrong."})
    text = page.get(address(draft, "batch")).content.decode()
    assert "approver refused to approve it.</b> The &lt;date&gt; is wrong." in text


def test_review_of_a_refused_draft_shows_what_was_asked(
    page: Client, approving: Client, draft: Batch, welcome: EmailTemplate
) -> None:
    EmailTemplate.objects.create(key="summer", name="Summer", subject="Summer", text="Hello {{ name }}")
    message = {"template": "summer", "subject": "Come, {{ name }}"}
    page.post(address(draft, "review-send"), {**message, **reviewed(page, draft, **message)})
    approving.post(address(draft, "approval-refuse"), {"reason": "The date is wrong."})
    answer = page.get(address(draft, "review"))
    assert (answer.context["choice"].template.key, answer.context["choice"].subject) == ("summer", "Come, {{ name }}")
    assert page.get(address(draft, "review"), {"template": "welcome_email"}).context["choice"].template == welcome


def test_refused_send_says_so_at_the_top_of_the_review(page: Client, draft: Batch, welcome: EmailTemplate) -> None:
    shown = reviewed(page, draft)
    welcome.html = "<p>Changed, {{ name }}</p>"
    welcome.save()
    data = {"template": "welcome_email", **shown}
    text = page.post(address(draft, "review-send"), data).content.decode()
    assert 0 < text.index("Something has changed since you reviewed it: the message.") < text.index('id="list"')
    text = page.post(address(draft, "review-send"), {**data, "scheduled_at": "tomorrow"}).content.decode()
    assert 0 < text.index("Nothing was sent. Correct what is marked in red below") < text.index('id="list"')


def test_asker_takes_the_question_back(page: Client, draft: Batch, welcome: EmailTemplate) -> None:
    send(page, draft)
    assert "Another user must approve it" in page.get(address(draft)).content.decode()
    page.post(address(draft, "approval-withdraw"))
    assert Approval.objects.get().status == ApprovalStatus.VOID
    assert "sender withdrew the request." in page.get(address(draft, "batch")).content.decode()


def test_nobody_approves_their_own_on_the_page(
    page: Client, draft: Batch, welcome: EmailTemplate, sender: User
) -> None:
    join_groups(sender, "Approvers")
    send(page, draft)
    text = page.get(address(draft)).content.decode()
    assert 'id="approve"' not in text
    answer = page.post(address(draft, "approval-approve"), {"digest": Approval.objects.get().digest})
    assert (answer.status_code, EmailJob.objects.count()) == (403, 0)


@pytest.mark.parametrize("name", ["approval-approve", "approval-refuse", "approval-withdraw", "approval"])
def test_strangers_find_no_approval(
    name: str, page: Client, draft: Batch, welcome: EmailTemplate, make_user: MakeUser
) -> None:
    send(page, draft)
    other = Client()
    other.force_login(make_user("other", "Senders"))
    answer = other.get(address(draft)) if name == "approval" else other.post(address(draft, name), {"reason": "x"})
    assert answer.status_code == 404
    assert other.get(reverse("approvals")).status_code == 403
    assert Approval.objects.get().status == ApprovalStatus.WAITING


def test_approver_finds_no_batch_that_never_waited(approving: Client, draft: Batch) -> None:
    assert approving.get(address(draft)).status_code == 404


def test_page_says_what_changed_when_the_question_is_void(
    page: Client, approving: Client, draft: Batch, welcome: EmailTemplate
) -> None:
    send(page, draft)
    asked = Approval.objects.get()
    EmailTemplate.objects.update(text="Changed")
    answer = approving.post(address(draft, "approval-approve"), {"digest": asked.digest})
    assert answer.status_code == 409
    assert "It changed after approval was asked for: the message." in answer.content.decode()
    assert "Nothing waits for approval." in approving.get(reverse("approvals")).content.decode()


def test_page_shows_the_replay_that_waits(
    page: Client, approving: Client, draft: Batch, welcome: EmailTemplate, sender: User, settings: LazySettings
) -> None:
    settings.APPROVAL_ABOVE = 0
    creation.create_job(draft, template=welcome, user=sender)
    end(draft, EmailStatus.FAILED)
    settings.APPROVAL_ABOVE = LIMIT
    EmailTemplate.objects.update(text="Changed later, and not sent")
    answer = page.post(reverse("batch-steer", args=[draft.pk, "replay-failed"]), follow=True)
    assert "It waits for approval." in answer.content.decode()
    text = approving.get(address(draft)).content.decode()
    assert "It is a replay of the failed" in text
    assert "Dear &lt;b&gt;P0&lt;/b&gt;" in text
    approving.post(address(draft, "approval-approve"), {"digest": Approval.objects.get().digest})
    assert EmailJob.objects.filter(kind=JobKind.FAILED).count() == 1
    assert "It waits for approval" not in page.get(address(draft, "batch")).content.decode()


def test_upload_that_is_sent_at_once_asks_too(page: Client, draft: Batch, welcome: EmailTemplate) -> None:
    form = {"template": "welcome_email", "then": "send", "key": "k", "file": BytesIO(LIST.encode())}
    question = page.post(reverse("home"), form, follow=True).content.decode()
    assert "Ask for approval to send to" in question
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', question))
    answer = page.post(address(Batch.objects.latest("pk"), "review-send"), fields, follow=True)
    assert "It waits for approval." in answer.content.decode()
    assert not EmailJob.objects.exists()


@pytest.mark.parametrize("change", ["template", "list", "sender"])
def test_review_is_shown_again_when_something_changed(
    change: str, page: Client, draft: Batch, welcome: EmailTemplate, settings: LazySettings
) -> None:
    settings.APPROVAL_ABOVE = 0
    seen = reviewed(page, draft)
    if change == "template":
        EmailTemplate.objects.update(text="Sign in at https://evil.example/", html="")
    elif change == "list":
        intake.append_csv(draft, BytesIO(b"email,name\nnew@example.org,New\n"))
    else:
        Sender.objects.filter(key=DEFAULT_SENDER).update(reply_to="evil@example.org", is_from_settings=False)
    form = {"template": "welcome_email", "subject": "", "scheduled_at": "2099-01-01T09:00"}
    answer = page.post(address(draft, "review-send"), form | seen)
    text = answer.content.decode()
    assert answer.status_code == 409
    assert (
        f"Something has changed since you reviewed it: the {'message' if change == 'template' else change}. Look again"
        in text
    )
    assert ("https://evil.example/" in text) == (change == "template")
    assert "2099-01-01T09:00" in text
    assert not EmailJob.objects.exists()
    page.post(address(draft, "review-send"), form | reviewed(page, draft))
    assert EmailJob.objects.count() == 1


def test_send_is_refused_when_the_form_has_no_review(page: Client, draft: Batch, welcome: EmailTemplate) -> None:
    assert page.post(address(draft, "review-send"), {"template": "welcome_email"}).status_code == 409
    assert not EmailJob.objects.exists()
