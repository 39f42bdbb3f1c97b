"""Change the frame of all letters: logo, colour and footer. Each letter is made again with it.

A frame and the user who changes it enter. The number of letters that were saved again leaves.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from batches import audit
from batches.models import FRAME_ID, AuditAction, EmailTemplate, LetterFrame, TemplateKind
from batches.permissions import Permission, require
from batches.rendering.template import TemplateFault
from batches.template_sources import compose, make_frame
from batches.template_versions import TemplateChanged, save_template
from batches.writing.frame import Frame

TRIES = 5
"""So often a letter is drawn again that others save at the same moment."""


def find_frame() -> LetterFrame:
    """Return the stored frame, or a new one that is not stored yet."""
    stored = LetterFrame.objects.select_related("logo").defer("logo__content").filter(pk=FRAME_ID).first()
    return stored or LetterFrame(pk=FRAME_ID)


def save_frame(frame: LetterFrame, *, by: User) -> int:
    """Store the frame, and save every letter in Markdown with it as a new version. Returns how many letters that are.

    Raises:
        NotPermitted: The user is no template editor.
    """
    require(by, Permission.EDIT_ALL_TEMPLATES)
    with transaction.atomic():
        frame.pk = FRAME_ID
        frame.save()
        audit.record(AuditAction.TEMPLATE_CHANGE, frame)
    drawn = make_frame(frame)
    letters = EmailTemplate.objects.filter(kind=TemplateKind.MARKDOWN).order_by("pk")
    return sum(_draw_again(pk, drawn, by=by) for pk in list(letters.values_list("pk", flat=True)))


def _draw_again(pk: int, drawn: Frame, *, by: User) -> bool:
    """Save one letter with another frame. Returns whether it changed. One that can't be used is left as it is."""
    for _ in range(TRIES):
        template = EmailTemplate.objects.filter(pk=pk, kind=TemplateKind.MARKDOWN).first()
        if template is None:  # deleted meanwhile
            return False
        before = template.html, template.text
        try:
            compose(template, user_id=by.pk, frame=drawn)
            if (template.html, template.text) != before:
                save_template(template, by=by, based_on=template.version)
        except TemplateFault:
            return False
        except TemplateChanged:  # somebody saved it meanwhile, perhaps with the frame as it was
            continue
        return (template.html, template.text) != before
    return False
