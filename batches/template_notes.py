"""Say what a template may lack before it is used. The admin and the pages show these notes after it was saved.

Message parts enter, and the user whose lists they are compared with. Sentences leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from batches.models import Batch, EmailTemplate, TemplateKind
from batches.rendering.foreign import ForeignTag, find_foreign_tags
from batches.rendering.template import MessageParts, TemplateFault
from batches.reviewing import ListComparison, compare_with_newest_lists

NOTES_MAX = 5
"""How many notes are shown after a template is saved. The preview shows all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateNotes:
    """What a person should know of a template before it is used."""

    fault: str = ""
    """Why the template can't be used. A template with a fault is refused by the form."""
    foreign_tags: tuple[ForeignTag, ...] = ()
    comparison: ListComparison | None = None

    @classmethod
    def make(cls, parts: MessageParts, *, user_id: int | None) -> Self:
        """Look for foreign tags, and compare the template with the newest lists of the user."""
        batches = Batch.objects.filter(created_by_id=user_id)
        newest = batches.exclude(merge_fields=[]).order_by("-pk").values_list("merge_fields", flat=True).first()
        tags = tuple(find_foreign_tags(parts, newest or ()))
        try:
            comparison = compare_with_newest_lists(parts, batches, user_id=user_id)
        except TemplateFault as exc:
            return cls(fault=str(exc), foreign_tags=tags)
        return cls(foreign_tags=tags, comparison=comparison)

    @classmethod
    def of_template(cls, template: EmailTemplate, *, user_id: int | None) -> Self:
        """Do the same for a template as it was written: of a letter in Markdown, its source and not what it becomes."""
        if template.kind != TemplateKind.MARKDOWN:
            return cls.make(MessageParts.of(template), user_id=user_id)
        typed = MessageParts(subject=template.subject, html="", text=template.source)
        return cls.make(typed.with_topic(template.message_topic), user_id=user_id)

    def sentences(self) -> list[str]:
        """Return one sentence for each note except the fault."""
        comparison = [self.comparison.sentence] if self.comparison else []
        return [*comparison, *(tag.hint for tag in self.foreign_tags)]

    def first_sentences(self) -> list[str]:
        """Return the first sentences, and how many more there are."""
        sentences = self.sentences()
        more = len(sentences) - NOTES_MAX
        rest = [f"Further notes: {more}. Open the template to read them."] if more > 0 else []
        return [*sentences[:NOTES_MAX], *rest]
