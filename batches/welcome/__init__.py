"""The sample template that ``make up`` creates, so that a new installation has something to send."""

from __future__ import annotations

from pathlib import Path

from batches.models import EmailTemplate
from batches.template_versions import save_template

KEY = "welcome_email"
FOLDER = Path(__file__).parent


def create_welcome_template() -> None:
    """Create the sample template if its key is free, and mark it default if no template is. Safe to run again."""
    if EmailTemplate.objects.filter(key=KEY).exists():
        return
    template = EmailTemplate(
        key=KEY,
        name="Welcome email",
        subject=(FOLDER / "subject.txt").read_text().strip(),
        html=(FOLDER / "body.html").read_text(),
        text=(FOLDER / "body.txt").read_text(),
        is_default=not EmailTemplate.objects.filter(is_default=True).exists(),
    )
    save_template(template, by=None)
