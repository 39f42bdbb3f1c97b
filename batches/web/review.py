"""The page between upload and send: what is in the list, how the message will look, and the buttons that send it.

The message's buttons all post the same form, so what is chosen on the page is what is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from batches import intake
from batches.jobs import creation, lifecycle
from batches.jobs.queues import fleet_status
from batches.models import Batch, BatchStatus
from batches.rendering.template import TemplateFault
from batches.web.forms import MessageForm
from batches.web.list_view import ReadingChoice, describe_list
from batches.web.message import Choice, read_choice
from batches.web.middleware import MESSAGE_POLICY
from batches.web.requests import SignedInRequest, find_batch, posted_from_review
from batches.wording import say_why_waiting

TEST_ADDRESS = "test_address"
"""Where the session keeps the address that the last test went to: one test is seldom the last."""

READY_STATUS = BatchStatus.PENDING
"""What a draft becomes when it is sent: whether a worker is there to take it is told beforehand."""


@require_safe
@login_required
def show_review(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Show what would be sent, with the template, subject and row that the query string names."""
    batch = find_batch(request, batch_id)
    if batch.status != BatchStatus.DRAFT:
        return redirect("batch", batch_id=batch.pk)
    return show_draft(request, read_choice(batch, request.GET))


@posted_from_review
def choose(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Turn the choices in the form into the address of the review that shows them."""
    return redirect(review_address(read_choice(find_batch(request, batch_id), request.POST)))


@require_safe
@login_required
def show_message(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """The HTML of one row's message, for a frame in which nothing runs."""
    choice = read_choice(find_batch(request, batch_id), request.GET)
    try:
        html = choice.render().html
    except TemplateFault:  # the page around the frame says it
        html = ""
    return HttpResponse(html, headers={"Content-Security-Policy": MESSAGE_POLICY})


@posted_from_review
def send(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Send the batch, now or at the chosen time; a refusal comes back on the form."""
    batch = find_batch(request, batch_id)
    form = MessageForm(request.POST)
    if form.is_valid():
        try:
            creation.create_job(batch, user=request.user, **form.job_options())
        except lifecycle.JobRefused as exc:
            form.refuse(str(exc))
        else:
            return redirect("batch", batch_id=batch.pk)
    batch.refresh_from_db()
    if batch.status != BatchStatus.DRAFT:  # pressed twice: it is on its way
        return redirect("batch", batch_id=batch.pk)
    return show_draft(request, read_choice(batch, request.POST), form, status=422)


@posted_from_review
def send_test(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Send the message of the chosen row to one address, as a batch of its own with a record like any other."""
    choice = read_choice(find_batch(request, batch_id), request.POST)
    form = MessageForm(request.POST)
    form.fields["to"].required = True
    if form.is_valid():
        try:
            test = _make_test(request, choice, form)
        except (lifecycle.JobRefused, intake.ListRefused) as exc:
            form.refuse(str(exc))
        else:
            request.session[TEST_ADDRESS] = form.cleaned_data["to"]
            messages.success(request, f"A test is on its way to {form.cleaned_data['to']}, as batch {test.pk}.")
            return redirect(review_address(choice))
    return show_draft(request, choice, form, status=422)


def _make_test(request: SignedInRequest, choice: Choice, form: MessageForm) -> Batch:
    context = choice.context() | {"email": form.cleaned_data["to"]}
    options = form.job_options() | {"scheduled_at": None}
    options["subject"] = f"[Test] {options['subject'] or options['template'].subject}"
    test = intake.import_list([context], user=request.user).batch
    Batch.objects.filter(pk=test.pk).update(filename=f"Test of {choice.batch.filename}"[:255])
    try:
        creation.create_job(test, user=request.user, **options)
    except lifecycle.JobRefused:
        intake.discard_draft(test)  # a refused test leaves no batch
        raise
    return test


def review_address(choice: Choice) -> str:
    """The address of the review page with these choices."""
    query = urlencode(choice.query())
    return reverse("review", args=[choice.batch.pk]) + (f"?{query}" if query else "")


def show_draft(
    request: SignedInRequest,
    choice: Choice,
    form: MessageForm | None = None,
    *,
    status: int = 200,
    list_error: str = "",
    typed: Mapping[str, str] | None = None,
    reading: ReadingChoice | None = None,
) -> HttpResponse:
    """Draw the review page. ``form``, ``typed`` and ``reading`` hold refused input, so that nothing typed is lost."""
    context: dict[str, object] = {}
    try:
        context["message"] = choice.render()
    except TemplateFault as exc:
        context["fault"] = str(exc)
    context |= {
        "batch": choice.batch,
        "choice": choice,
        "form": form or MessageForm(initial=_initial(request, choice)),
        "frame": f"{reverse('review-message', args=[choice.batch.pk])}?{urlencode(choice.query())}",
        "previous_address": _address_of_row(choice, choice.previous_row),
        "next_address": _address_of_row(choice, choice.next_row),
        "waiting": say_why_waiting(READY_STATUS, fleet_status()),
        "list": describe_list(request, choice, typed=typed or {}, reading=reading),
        "list_error": list_error,
    }
    return render(request, "batches/review.html", context, status=status)


def _address_of_row(choice: Choice, row: int | None) -> str:
    return "" if row is None else f"?{urlencode({**choice.query(), 'row': row})}"


def _initial(request: SignedInRequest, choice: Choice) -> dict[str, object]:
    return {
        "template": choice.template and choice.template.key,
        "subject": choice.subject,
        "to": request.session.get(TEST_ADDRESS, request.user.email),
    }
