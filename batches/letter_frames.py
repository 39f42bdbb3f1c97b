"""Change the frame of all letters: logo, colour and footer. Each letter is made again with it.

A frame and the user who changes it enter. The number of letters that were saved again leaves.
"""

from __future__ import annotations

from contextlib import suppress

from django.contrib.auth.models import User
from django.db import transaction

from batches import audit
from batches.models import FRAME_ID, AuditAction, EmailTemplate, LetterFrame, TemplateKind
from batches.permissions import Permission, require
from batches.rendering.template import TemplateFault
from batches.template_sources import compose, make_frame
from batches.template_versions import save_template


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
    drawn, count = make_frame(frame), 0
    for template in EmailTemplate.objects.filter(kind=TemplateKind.MARKDOWN).order_by("pk"):
        before = template.html, template.text
        with suppress(TemplateFault):  # a letter that could not be used before is left as it is
            compose(template, user_id=by.pk, frame=drawn)
            if (template.html, template.text) != before:
                save_template(template, by=by, based_on=template.version)
                count += 1
    return count
