"""Which message a person looks at while reviewing: a template, a subject, and the row that fills them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import QueryDict

from batches.models import Batch, Email, EmailTemplate
from batches.rendering.preview import render_preview
from batches.rendering.template import MessageParts, Rendered, TemplateFault, make_context

ROW_MAX_DIGITS = 9
"""Rows are PostgreSQL integers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A draft, and what of it is looked at. The template is None only where there is none at all."""

    batch: Batch
    template: EmailTemplate | None
    subject: str
    """Instead of the template's own; empty for that."""
    email: Email | None
    """The recipient whose message is shown; None if the list is empty."""

    def context(self) -> dict[str, str]:
        """The merge fields of the row."""
        if self.email is None:
            return {}
        return make_context(self.batch.merge_fields, self.email.fields, address=self.email.address)

    def parts(self) -> MessageParts:
        """The message parts that would be sent.

        Raises:
            TemplateFault: there is no template.
        """
        if self.template is None:
            raise TemplateFault("There is no template yet. Write one under Templates, then come back.")
        return MessageParts.of(self.template, self.subject)

    def query(self) -> Mapping[str, str]:
        """The query string's parts that make the same choice again."""
        parts = {
            "template": self.template.key if self.template else "",
            "subject": self.subject,
            "row": str(self.email.row) if self.email else "",
        }
        return {name: value for name, value in parts.items() if value}

    def render(self) -> Rendered:
        """The message of the row.

        Raises:
            TemplateFault: there is nothing to render, or it can't be.
        """
        parts = self.parts()
        if self.email is None:
            raise TemplateFault("The list has no recipients, so there is no message to show.")
        return render_preview(parts, self.context())

    @property
    def previous_row(self) -> int | None:
        """The row of the recipient before this one."""
        return self._neighbour("row__lt", "-row")

    @property
    def next_row(self) -> int | None:
        """The row of the recipient after this one."""
        return self._neighbour("row__gt", "row")

    def _neighbour(self, side: str, order: str) -> int | None:
        if self.email is None:
            return None
        rows = self.batch.emails.filter(**{side: self.email.row}).order_by(order)
        return rows.values_list("row", flat=True).first()


def read_choice(batch: Batch, query: QueryDict) -> Choice:
    """Read the choice from a query string or a form; what is missing or unknown gets a sensible value."""
    by_default = EmailTemplate.objects.order_by("-is_default", "name")
    template = EmailTemplate.objects.filter(key=query.get("template", "")).first() or by_default.first()
    return Choice(
        batch=batch,
        template=template,
        subject=query.get("subject", "").strip(),
        email=_find_email(batch, query.get("row", "")),
    )


def _find_email(batch: Batch, row: str) -> Email | None:
    """The recipient of that row, or of the next one that is not rejected; the first where none is named."""
    emails = batch.emails.order_by("row")
    found = None
    if row.isascii() and row.isdigit() and len(row) <= ROW_MAX_DIGITS:
        found = emails.filter(row__gte=int(row)).first()
    return found or emails.first()
