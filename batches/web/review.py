"""The review: the page between upload and send. It shows the list and the message, and has the buttons that send it.

All buttons of the message post the same form, so what the page shows is what is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from batches import audit, intake
from batches.accounts.proof import require_fresh_proof
from batches.files.addresses import BadAddress, normalise_address
from batches.jobs import approvals, creation, lifecycle
from batches.jobs.queues import fleet_status
from batches.jobs.reviewed import ReviewChanged
from batches.jobs.user_limits import find_refusal
from batches.message_tests import send_test_message
from batches.models import AuditAction, Batch, BatchStatus, EmailJob, JobStatus
from batches.permissions import Act, say_refusal
from batches.rendering.template import TemplateFault
from batches.web.approval_state import find_open_approval
from batches.web.concerns import list_concerns
from batches.web.forms import MessageForm
from batches.web.letters import describe_letters
from batches.web.list_view import describe_list
from batches.web.message import MessageChoice, check_choice, hide_missing, read_choice
from batches.web.middleware import message_policy
from batches.web.reading_form import ReadingChoice
from batches.web.remembered_choices import SEND_AT, recall_choice, recall_time, remember_choice, remember_time
from batches.web.requests import SignedInRequest, find_batch, posted_from_review
from batches.wording import say_suppressed, say_why_waiting

TEST_ADDRESS = "test_address"
"""The key of the session for the address of the last test, because most users send several tests."""

REVIEWED = "reviewed"
"""The field of the form with the digest of what the page shows."""

GO = "go"
"""The field of the form with the row before or after the one that is shown. They are buttons and no links, so that what
is typed beside them stays."""

READY_STATUS = BatchStatus.PENDING
"""The status of a draft after it is sent. The review says beforehand why such a batch would wait."""


@require_safe
@login_required
def show_review(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Show the list and the message, with the template, subject and row that the query string names."""
    batch = find_batch(request, batch_id)
    if batch.status != BatchStatus.DRAFT:
        return redirect("batch", batch_id=batch.pk)
    query = request.GET if "template" in request.GET else _find_asked(batch) or recall_choice(request, batch)
    choice = read_choice(batch, query, user=request.user)
    remember_choice(request, choice)
    return show_draft(request, choice)


@posted_from_review
def choose(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Redirect to the review of the message that the form chooses."""
    query = request.POST.copy()
    if GO in query:
        query["row"], query["line"] = str(query[GO]), ""
    choice = read_choice(find_batch(request, batch_id), query, user=request.user)
    remember_time(request, choice.batch)
    missed = f"&{urlencode({'line': choice.missed_line})}" if choice.missed_line else ""
    return redirect(f"{review_address(choice)}{missed}#message")


@require_safe
@login_required
def show_message(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Show the HTML of one row's message. The page puts it into a frame in which nothing runs."""
    choice = read_choice(find_batch(request, batch_id), request.GET, user=request.user)
    try:
        html = choice.render().html
    except TemplateFault:  # the page around the frame shows the fault
        html = ""
    return HttpResponse(html, headers={"Content-Security-Policy": message_policy(request)})


@posted_from_review
def send(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Send the batch, now or at the chosen time. If that is refused, the form shows why."""
    batch = find_batch(request, batch_id, act=Act.SEND)
    choice = read_choice(batch, request.POST, user=request.user)
    remember_time(request, batch)
    form = MessageForm(request.POST, user=request.user, template=choice.template)
    status = 422
    if form.is_valid():
        require_fresh_proof(request, recipient_count=batch.total_count)
        try:
            reviewed = creation.Reviewed(digest=request.POST.get(REVIEWED, ""), has_time=False)
            job = creation.create_job(batch, user=request.user, reviewed=reviewed, **form.job_options())
        except creation.ApprovalAsked:  # the page of the batch says what it waits for
            return redirect("batch", batch_id=batch.pk)
        except ReviewChanged as exc:
            form.refuse(str(exc))
            status = exc.http_status
            choice = read_choice(find_batch(request, batch_id), request.POST, user=request.user)  # as it is now
        except lifecycle.JobRefused as exc:
            form.refuse(str(exc))
            status = exc.page_status
        else:
            messages.success(request, _say_sent(job))
            return redirect("batch", batch_id=batch.pk)
    batch.refresh_from_db()
    if batch.status != BatchStatus.DRAFT:  # the user pressed the button twice
        return redirect("batch", batch_id=batch.pk)
    return show_draft(request, choice, form, status=status)


def _say_sent(job: EmailJob) -> SafeString:
    """Say what happens now, with the way to all batches."""
    if job.status == JobStatus.SCHEDULED:
        words = _("The emails go out at the time you chose. {link}All batches{end}")
    else:
        words = ngettext(
            "The email to {count} recipient is being sent. {link}All batches{end}",
            "The emails to {count} recipients are being sent. {link}All batches{end}",
            job.total_count,
        )
    return _link(words, reverse("batches"), count=intcomma(job.total_count))


def _link(words: str, goes_to: str, **values: str) -> SafeString:
    """Fill a sentence that has a link between ``{link}`` and ``{end}``. The values are escaped."""
    return format_html(words, link=format_html('<a href="{}">', goes_to), end=mark_safe("</a>"), **values)


@posted_from_review
def send_test(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Send the message of the chosen row to one address, as a batch of its own with one recipient."""
    choice = read_choice(find_batch(request, batch_id, act=Act.SEND), request.POST, user=request.user)
    remember_time(request, choice.batch)
    form = MessageForm(request.POST, user=request.user, template=choice.template)
    form.fields["to"].required = True
    status = 422
    if form.is_valid():
        try:
            test = send_test_message(choice.batch, choice.context(), user=request.user, **form.test_options())
        except (lifecycle.JobRefused, intake.ListRefused) as exc:
            form.refuse(str(exc))
            status = exc.page_status if isinstance(exc, lifecycle.JobRefused) else 422
        else:
            request.session[TEST_ADDRESS] = addresses = ", ".join(form.cleaned_data["to"])
            words = _("A test is on its way to {addresses}. {link}See what became of it{end}.")
            messages.success(request, _link(words, reverse("batch", args=[test.pk]), addresses=addresses))
            return redirect(review_address(choice))
    return show_draft(request, choice, form, status=status)


def review_address(choice: MessageChoice) -> str:
    """Return the address of the review that shows this message."""
    query = urlencode(choice.query())
    return reverse("review", args=[choice.batch.pk]) + (f"?{query}" if query else "")


def show_draft(
    request: SignedInRequest,
    choice: MessageChoice,
    form: MessageForm | None = None,
    *,
    status: int = 200,
    list_error: str = "",
    typed: Mapping[str, str] | None = None,
    reading: ReadingChoice | None = None,
) -> HttpResponse:
    """Draw the review page. ``form``, ``typed`` and ``reading`` hold refused input, so that nothing typed is lost."""
    # The digest first: what changes while the page is drawn is then refused, and not sent unseen.
    context: dict[str, object] = {"digest": choice.digest(), "reviewed_field": REVIEWED, **_render_message(choice)}
    refusal = say_refusal(request.user, choice.batch, Act.SEND)
    described = describe_list(request, choice, typed=typed or {}, reading=reading)
    fleet = fleet_status()
    limit = None if refusal else find_refusal(request.user, choice.batch.total_count)
    has_letters = not (context.get("fault") and described.review.missing)
    context |= {
        "letters": (
            describe_letters(choice, fleet=fleet, is_automatic=True, may_ask=not refusal) if has_letters else None
        ),
        "shown_fault": hide_missing(str(context.get("fault", ""))),
        "batch": choice.batch,
        "refusal": refusal,
        "may_discard": not say_refusal(request.user, choice.batch, Act.STOP),
        "choice": choice,
        "form": form or MessageForm(initial=_initial(request, choice), user=request.user, template=choice.template),
        "frame": f"{reverse('review-message', args=[choice.batch.pk])}?{urlencode(choice.query())}",
        "go_field": GO,
        "previous_row": choice.previous_row,
        "next_row": choice.next_row,
        "limit": str(limit) if limit else "",
        "waiting": say_why_waiting(READY_STATUS, fleet),
        "list": described,
        "list_error": list_error,
        "approval": find_open_approval(choice.batch),
        "needs_approval": approvals.is_needed(described.review.to_send_count),
        "suppressed": say_suppressed(described.review.suppressed),
        "concerns": list_concerns(described, choice),
    }
    audit.record_once(AuditAction.REVIEW, choice.batch, digest=str(context["digest"]))
    return render(request, "batches/review.html", context, status=status)


def _render_message(choice: MessageChoice) -> dict[str, object]:
    """Return the message with what its checks found, or its fault."""
    try:
        message = choice.render()
        return {"message": message, "findings": check_choice(choice, message)}
    except TemplateFault as exc:
        return {"fault": str(exc)}


def _find_asked(batch: Batch) -> QueryDict | None:
    """Return the query string of the message that waits for approval, or whose approval was refused or became void.

    Without it, a user who comes back to such a draft would see the default template, and might send that.
    """
    approval = find_open_approval(batch)
    if approval is None or approval.template is None:
        return None
    parts = {"template": approval.template.key, "subject": approval.subject}
    parts |= {"sender": approval.sender_key, "topic": approval.topic_key}
    return QueryDict(urlencode({name: value for name, value in parts.items() if value}))


def _initial(request: SignedInRequest, choice: MessageChoice) -> dict[str, object]:
    return {
        "template": choice.template and choice.template.key,
        "subject": choice.subject,
        "sender": choice.sender_key,
        "topic": choice.topic_key,
        "to": request.session.get(TEST_ADDRESS) or find_own_address(request),
        SEND_AT: recall_time(request, choice.batch),
    }


def find_own_address(request: SignedInRequest) -> str:
    """Return the user's address, or an empty text if no mail can go there, as to the admin@localhost of a new stack."""
    try:
        return normalise_address(request.user.email)
    except BadAddress:
        return ""
