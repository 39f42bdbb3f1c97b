"""Make the HTML and the text of a template from the letter that a person wrote in Markdown.

What a person wrote enters, with the frame of the site. Message parts leave, which are stored and sent as they are: a
send never reads Markdown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from django.conf import settings

from batches.models import FRAME_ID, LetterFrame, TemplateKind
from batches.rendering import children
from batches.rendering.tags import TagFault, find_line
from batches.rendering.template import MessageParts, TemplateFault
from batches.rendering.wording import EMPTY_LETTER, name_as_letter, say_where_in_letter
from batches.writing.frame import DEFAULT_ACCENT, Frame
from batches.writing.markdown import write_letter

_write_letter = lru_cache(maxsize=16)(write_letter)
"""The editor asks for the same letter several times: for the preview, for the notes, and when it is saved."""


class WrittenTemplate(Protocol):
    """What has the parts of a template as a person wrote them: a template, or what is typed in a form."""

    subject: str
    kind: str
    source: str
    html: str
    text: str


@dataclass(kw_only=True, slots=True)
class Written:
    """The parts of a template that is not stored, as a person wrote them."""

    subject: str
    kind: str
    source: str = ""
    html: str = ""
    text: str = ""


def read_frame() -> Frame:
    """Return the frame of the site. A site that has set none gets that of the program."""
    stored = LetterFrame.objects.select_related("logo").defer("logo__content").filter(pk=FRAME_ID).first()
    return make_frame(stored) if stored else Frame()


def make_frame(stored: LetterFrame) -> Frame:
    """Return what a letter shows of a stored frame."""
    return Frame(
        accent=stored.accent or DEFAULT_ACCENT,
        logo_url=make_picture_url(stored.logo.digest, stored.logo.content_type) if stored.logo else "",
        logo_words=stored.logo_words,
        footer=stored.footer,
    )


def make_picture_url(digest: str, content_type: str) -> str:
    """Return the address at which recipients load a picture."""
    return f"{settings.PUBLIC_URL}/pictures/{digest}.{content_type.removeprefix('image/')}"


def compose(template: WrittenTemplate, *, user_id: int | None, frame: Frame | None = None) -> MessageParts:
    """Set the HTML and the text of a template from its letter, and return its parts. One in HTML stays as it is.

    Raises:
        TemplateFault: The letter can't be used. The sentence names its line.
        RenderingBusy: Too many templates are being looked at.
    """
    if template.kind == TemplateKind.MARKDOWN:
        if not template.source.strip():
            raise TemplateFault(say_where_in_letter(None, EMPTY_LETTER))
        _check_source(template, user_id=user_id)
        try:
            letter = _write_letter(template.source, frame or read_frame())
        except TagFault as exc:
            line = find_line(template.source, exc.offset)
            raise TemplateFault(say_where_in_letter(line, str(exc))) from exc
        template.html, template.text = letter.html, letter.text
    return MessageParts(subject=template.subject, html=template.html, text=template.text)


def _check_source(template: WrittenTemplate, *, user_id: int | None) -> None:
    """Read the letter as if it were a text body, so that a fault names its line and not one of the HTML."""
    # As news, because only there {{ unsubscribe_url }} may be used. Whether it may here is found out with the parts.
    parts = MessageParts(subject="-", html="", text=template.source, is_news=True)
    analysis = children.analyse(parts, user_id=user_id)
    if analysis.fault:
        raise TemplateFault(name_as_letter(analysis.fault))
