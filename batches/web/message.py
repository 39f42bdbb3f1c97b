"""The message that a user looks at in the review: a template, a subject, and the row that fills the merge fields.

A query string or a posted form enters. A MessageChoice leaves, which can render its message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast, Coalesce
from django.http import QueryDict

from batches.jobs.reviewed import make_digest
from batches.jobs.senders import SenderRefused, choose_sender, copy_sender
from batches.jobs.topics import TopicRefused, choose_topic
from batches.models import Batch, Email, EmailTemplate, Sender, Topic
from batches.rendering import children
from batches.rendering.field_names import NO_COLUMN
from batches.rendering.template import (
    SUBJECT_MAX_CHARS,
    UNSUBSCRIBE_URL,
    MessageParts,
    Rendered,
    TemplateFault,
    make_context,
)
from batches.returns.summary import warn_sender
from batches.suppressions import find_digest
from batches.writing.checks import Finding, check_message

WORDS_MAX_CHARS = 100
SEARCHED_ROWS = 20_000
"""So many recipients are searched for a part of a text: a page costs the same however long its list is."""

WHOLE = "whole"
"""The parameter that has an address looked for in the whole list."""

ROW_MAX_DIGITS = 9
"""Rows are PostgreSQL integers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageChoice:
    """A draft, and the message of it that the review shows. The template is None only if no template exists."""

    batch: Batch
    template: EmailTemplate | None
    subject: str
    """Replaces the template's own subject, unless it is empty."""
    sender: Sender | None
    """Whom the mail would come from, or None if that can't be used."""
    sender_key: str
    """The sender that the user named. Empty: ``sender`` was chosen for the user."""
    sender_fault: str
    """Why there is no sender."""
    topic: Topic | None
    """What it is about: the topic that the user named, or the template's. None: service."""
    topic_key: str
    """The key of the topic that the user named. Empty: the template's is taken."""
    topic_fault: str
    """Why it can't be sent with this topic."""
    email: Email | None
    """The recipient whose message is shown, or None if the list is empty."""
    missed_line: str = ""
    """The line that the user asked for, if it is not the line of a recipient."""
    is_all_searched: bool = False
    """Whether the user asked to look for an address in the whole list, which takes seconds if that is large."""
    user_id: int | None = None
    """Who looks at it."""

    @property
    def searched_rows(self) -> int | None:
        """How many recipients were searched for ``missed_line``. None: all of them."""
        is_whole = self.is_all_searched or self.batch.total_count <= SEARCHED_ROWS
        return None if is_whole else SEARCHED_ROWS

    @property
    def whole_search(self) -> str:
        """The query that looks for the missed address in the whole list. Empty: it is no address."""
        if self.searched_rows is None or not _is_address(self.missed_line):
            return ""
        return urlencode({**self.query(), "line": self.missed_line, WHOLE: "1"})

    @property
    def is_number_missed(self) -> bool:
        """Whether ``missed_line`` is a number, and no name."""
        return is_row_number(self.missed_line)

    def context(self) -> dict[str, str]:
        """Return the values of the row by their merge fields."""
        if self.email is None:
            return {}
        return make_context(self.batch.merge_fields, self.email.fields, address=self.email.address)

    def parts(self) -> MessageParts:
        """Return the message parts that would be sent.

        Raises:
            TemplateFault: There is no template, or the subject is too long.
        """
        if len(self.subject) > SUBJECT_MAX_CHARS:  # the form refuses it too; an address is no form
            raise TemplateFault(f"The subject has more than {SUBJECT_MAX_CHARS} characters. Shorten it.")
        if self.template is None:
            raise TemplateFault("There is no template yet. Write one under Templates, and come back to this page.")
        return MessageParts.of(self.template, self.subject, self.topic and self.topic.message_topic)

    def digest(self) -> str:
        """Return the reviewed digest of list, message and sender, without a time: the form beside it holds that.

        Empty if it can't be sent as it is. The batch, the template and the sender are those that the page shows, so a
        change after they were read makes another digest.
        """
        if self.sender is None or self.topic_fault:
            return ""
        try:
            return make_digest(self.batch, self.parts(), sender=copy_sender(self.sender))
        except (TemplateFault, SenderRefused):
            return ""

    def query(self) -> Mapping[str, str]:
        """Return the parameters of a query string that makes the same choice."""
        parts = {
            "template": self.template.key if self.template else "",
            "subject": self.subject,
            "sender": self.sender_key,
            "topic": self.topic_key,
            "row": str(self.email.row) if self.email else "",
        }
        return {name: value for name, value in parts.items() if value}

    def render(self) -> Rendered:
        """Render the message of the row.

        Raises:
            TemplateFault: There is no template or no recipient, or the template has a fault.
        """
        parts = self.parts()
        if self.email is None:
            raise TemplateFault("The list has no recipients, so there is no message to show.")
        return children.render(parts, self.context(), address_heading=self.batch.address_heading, user_id=self.user_id)

    @property
    def previous_row(self) -> int | None:
        """The row of the recipient before this one, or None."""
        return self._find_neighbour("row__lt", "-row")

    @property
    def next_row(self) -> int | None:
        """The row of the recipient after this one, or None."""
        return self._find_neighbour("row__gt", "row")

    @property
    def sender_warning(self) -> str:
        """What receivers refused of this sender's mail lately. Empty if nothing."""
        return warn_sender(self.sender.pk if self.sender else None)

    def _find_neighbour(self, side: str, order: str) -> int | None:
        if self.email is None:
            return None
        rows = self.batch.emails.filter(**{side: self.email.row}).order_by(order)
        return rows.values_list("row", flat=True).first()


def read_choice(batch: Batch, query: QueryDict, *, user: User) -> MessageChoice:
    """Read the choice from a query string or a form.

    A missing or unknown template becomes the default one, and a missing or unknown row a near one.
    """
    templates = EmailTemplate.objects.order_by("-is_default", "name")
    template = EmailTemplate.objects.filter(key=query.get("template", "")).first() or templates.first()
    line = query.get("line", "").strip()
    is_all_searched = query.get(WHOLE) == "1"
    email = _find_email(batch, query.get("row", ""), line, is_all_searched=is_all_searched)
    sender, sender_fault = _find_sender(query.get("sender", ""), template, user)
    topic_key = query.get("topic", "").strip()
    topic, topic_fault = _find_topic(topic_key, template)
    return MessageChoice(
        batch=batch,
        template=template,
        subject=query.get("subject", "").strip(),
        sender=sender,
        sender_key=query.get("sender", "").strip(),
        sender_fault=sender_fault,
        topic=topic,
        topic_key=topic_key,
        topic_fault=topic_fault,
        email=email,
        user_id=user.pk,
        missed_line=line if email and not _fits(email, line) else "",
        is_all_searched=is_all_searched,
    )


def _find_sender(named: str, template: EmailTemplate | None, user: User) -> tuple[Sender | None, str]:
    """Return the sender, or the sentence that says why there is none."""
    try:
        return choose_sender(named, template=template, user=user), ""
    except SenderRefused as exc:
        return None, str(exc)


def _find_topic(named: str, template: EmailTemplate | None) -> tuple[Topic | None, str]:
    """Return the topic, and the sentence that says why nothing can be sent with it."""
    try:
        return choose_topic(named, template=template), ""
    except TopicRefused as exc:
        return template.topic if template else None, str(exc)


def check_choice(choice: MessageChoice, message: Rendered) -> list[Finding]:
    """Check a rendered message before it is sent: links, pictures, size."""
    parts = choice.parts()
    has_own_link = UNSUBSCRIBE_URL in parts.html + parts.text
    return check_message(message, is_news=parts.is_news, has_own_link=has_own_link)


def hide_missing(fault: str) -> str:
    """Return the fault, or an empty text if it only says which fields the list lacks.

    A notice with buttons says so already, and two sentences about one thing seem to be about two.
    """
    return "" if fault.startswith(NO_COLUMN) else fault


def _find_email(batch: Batch, row: str, line: str, *, is_all_searched: bool) -> Email | None:
    """Find the recipient of a row, or of a line that the user typed. If there is none, take a near one.

    The form has both. A line may have several recipients, so the row counts as long as its line was not changed.
    """
    emails = batch.emails.order_by("row")
    found = emails.filter(row__gte=int(row)).first() if is_row_number(row) else None
    found = found or emails.first()
    if found is None or not line or line == str(found.shown_line):
        return found
    if not is_row_number(line):
        return _find_address(emails, line, is_all_searched=is_all_searched) or find_near(emails, line) or found
    later = emails.annotate(on_line=Coalesce("line", "row")).filter(on_line__gte=int(line))
    return later.first() or emails.last()


def _find_address(emails: QuerySet[Email], text: str, *, is_all_searched: bool) -> Email | None:
    """Find the recipient with a whole address among the first SEARCHED_ROWS, or in all.

    No index has the addresses of a draft, because one would slow each import. A million rows take more than a second.
    """
    if not _is_address(text):
        return None
    found = emails.filter(address_digest=find_digest(text))
    return (found if is_all_searched else _take_near(found, emails)).first()


def _is_address(text: str) -> bool:
    return "@" in text.strip("@")


def _take_near(found: QuerySet[Email], emails: QuerySet[Email]) -> QuerySet[Email]:
    """Limit what is sought to the first SEARCHED_ROWS of a batch."""
    first = emails.values_list("row", flat=True).first() or 0
    return found.filter(row__lt=first + SEARCHED_ROWS)


def find_near(emails: QuerySet[Email], words: str) -> Email | None:
    """Find the first recipient whose address or cells have these words, among the first SEARCHED_ROWS.

    Args:
        emails: Those of one batch, by their rows.
    """
    wanted = words[:WORDS_MAX_CHARS].replace("\0", "")
    cells = _take_near(emails, emails).annotate(cells_text=Cast("fields", TextField()))
    return cells.filter(Q(address__icontains=wanted) | Q(cells_text__icontains=_as_json(wanted))).first()


def _as_json(words: str) -> str:
    """Write words as a cell of a list has them in JSON."""
    return json.dumps(words, ensure_ascii=False)[1:-1]


def _fits(email: Email, line: str) -> bool:
    """Whether a recipient is the one that the user asked for."""
    if line in ("", str(email.shown_line)):
        return True
    wanted = line[:WORDS_MAX_CHARS].lower()
    return not is_row_number(line) and any(wanted in str(cell).lower() for cell in (email.address, *email.fields))


def is_row_number(text: str) -> bool:
    """Tell whether a text of a request is a number that a row or a line can have."""
    return text.isascii() and text.isdigit() and len(text) <= ROW_MAX_DIGITS
