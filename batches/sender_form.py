"""The field in which a person chooses a sender. The pages and the admin share it.

A user enters, with the template that the form has chosen so far. A select leaves with the senders of this user. What
is posted is checked by ``jobs.senders``, so a posted key of another's sender gets its sentence.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser, User
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from batches.jobs.senders import SenderRefused, choose_sender, list_senders
from batches.models import EmailTemplate, Sender

LABEL_MAX_CHARS = 90


class SenderField(forms.CharField):
    """A key of a sender, or an empty text: the sender is then chosen as if nobody had named one."""

    def __init__(self) -> None:
        super().__init__(label=_("From"), required=False, max_length=320, widget=forms.Select)
        self.has_choice = False
        """Whether the user has more than one sender. Otherwise a form need not show the field."""

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Leave out ``maxlength``, which a select does not have."""
        return {}

    def offer(self, user: User | AnonymousUser, *, template: EmailTemplate | None, any_template: bool = False) -> None:
        """Fill the select for a user.

        Args:
            template: The one whose sender the empty choice names.
            any_template: The user can still choose another template in the form, without a new page.
        """
        senders = list_senders(user)
        self.has_choice = len(senders) > 1
        choices = [("", _say_automatic(user, template, any_template=any_template))]
        self.widget.choices = [*choices, *((sender.key, _label(sender, senders)) for sender in senders)]


def _say_automatic(user: User | AnonymousUser, template: EmailTemplate | None, *, any_template: bool) -> str:
    try:
        chosen = choose_sender(None, template=None if any_template else template, user=user)
    except SenderRefused:
        return gettext("None that you may use")
    if any_template and EmailTemplate.objects.exclude(sender=None).exists():
        return gettext("The letter's own, or %(chosen)s") % {"chosen": shorten(str(chosen))}
    return gettext("As usual: %(chosen)s") % {"chosen": shorten(str(chosen))}


def _label(sender: Sender, senders: list[Sender]) -> str:
    """Show a sender as its header does, with its key if two look the same."""
    text = shorten(str(sender))
    is_ambiguous = sum(str(other) == str(sender) for other in senders) > 1
    return f"{text} ({sender.key})" if is_ambiguous else text


def shorten(text: str, *, max_chars: int = LABEL_MAX_CHARS) -> str:
    """Cut the name of a long sender in its middle, because the address at its end matters most."""
    name, mark, address = text.rpartition(" <")
    if len(text) <= max_chars or not mark:
        return text
    return f"{name[: max(20, max_chars - len(address) - 4)]}… <{address}"
