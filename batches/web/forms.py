"""The forms of the pages. They check the user's input before a view calls the domain.

What the user typed enters. Arguments for the domain's functions leave, or a sentence beside the field that is wrong.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import chain, count
from typing import Any

from django import forms
from django.contrib.auth.models import Group, User
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.files.addresses import BadAddress, normalise_address
from batches.intake import NAME_MAX_CHARS
from batches.jobs.senders import list_senders
from batches.models import EmailTemplate, Sender
from batches.names import remove_accents
from batches.permissions import Permission, may
from batches.rendering.message import SUBJECT_MAX_CHARS
from batches.send_times import say_bad_send_time
from batches.sender_form import SenderField
from batches.template_form import CheckedTemplateForm, TemplateField
from batches.topic_form import SendTopicField, TemplateTopicField
from batches.translations import say_lazy
from batches.web.send_time_field import SendTimeField
from batches.wording import ENCODING_NAMES

PASTED_MAX_CHARS = 200_000
KEY_NUMBER_CHARS = 10
"""How much of a key is left for the hyphen and the number that make it unique."""


class RefusableForm(forms.Form):
    """A form that can show why the domain refused it."""

    def refuse(self, sentence: str) -> None:
        """Show the domain's sentence above the form. The input stays as the user typed it."""
        self.add_error(None, sentence)


class UploadForm(RefusableForm):
    """Recipients, and what to do with them. ``key`` makes a repeated upload harmless.

    The recipients are in a file, typed or pasted, or a group of users.
    """

    file = forms.FileField(
        label=gettext_lazy("File of recipients"),
        required=False,
        allow_empty_file=True,  # intake refuses it with a better sentence than Django's
    )
    pasted = forms.CharField(
        label=gettext_lazy("Addresses"),
        required=False,
        max_length=PASTED_MAX_CHARS,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "autocapitalize": "none"}),
        help_text=gettext_lazy("One on each line, or as your mail program writes them: Ann Berg <ann@example.org>, …"),
    )
    group = forms.ModelChoiceField(
        Group.objects.none(), label=gettext_lazy("Group"), required=False, empty_label=gettext_lazy("No group")
    )
    name = forms.CharField(required=False, max_length=NAME_MAX_CHARS)
    template = TemplateField(
        empty_label=None,
        label=gettext_lazy("Template"),
        error_messages={
            "required": gettext_lazy("Choose a template. If there is none, write one under Templates first.")
        },
    )
    subject = forms.CharField(required=False, max_length=SUBJECT_MAX_CHARS, strip=True)
    sender = SenderField()
    topic = SendTopicField()
    encoding = forms.ChoiceField(
        required=False,
        choices=[
            ("", gettext_lazy("recognise automatically")),
            *((name, say_lazy(words)) for name, words in ENCODING_NAMES.items()),
        ],
    )
    then = forms.ChoiceField(
        choices=[("review", gettext_lazy("Review first")), ("send", gettext_lazy("Send at once"))], initial="review"
    )
    key = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sender_field = _offer(self, user, template=EmailTemplate.objects.find_default(), any_template=True)
        topic, group = self.fields["topic"], self.fields["group"]
        assert isinstance(topic, SendTopicField)  # noqa: S101  (declared above)
        assert isinstance(group, forms.ModelChoiceField)  # noqa: S101  (declared above)
        topic.offer(None, any_template=True)
        if may(user, Permission.SEND_TO_GROUP):
            group.queryset = Group.objects.order_by("name")

    def clean(self) -> dict[str, Any]:
        """Ask for recipients in exactly one way."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        given = [name for name in ("file", "pasted", "group") if cleaned.get(name)]
        if not given and not self.errors:
            self.add_error("file", _("Choose a file of recipients first."))
        if len(given) > 1:
            self.add_error(None, _("Choose the recipients in one way only: a file, addresses or a group."))
        return cleaned


TEST_ADDRESSES_MAX = 10
"""To how many addresses one test goes. More people than that are a list."""


class AddressesField(forms.CharField):
    """A few addresses, with commas or spaces between them."""

    widget = forms.EmailInput(attrs={"multiple": True, "autocomplete": "email"})

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        """Return the addresses, each one once."""
        return list(dict.fromkeys(re.split(r"[\s,;]+", str(value).strip(" ,;\n\t")))) if value else []

    def run_validators(self, value: Any) -> None:
        """Refuse too many addresses, and one to which no test can go."""
        if len(value) > TEST_ADDRESSES_MAX:
            raise forms.ValidationError(
                _("A test goes to %(count)s addresses at most. Remove some.") % {"count": TEST_ADDRESSES_MAX}
            )
        for address in value:
            check_test_address(address)


class TestForm(forms.Form):
    """The addresses to which the editor of a template sends a test."""

    test_to = AddressesField(error_messages={"required": gettext_lazy("Write the address to which the test goes.")})


def check_test_address(address: str) -> None:
    """Refuse an address to which no test can go, with a sentence that does not speak of the list.

    Raises:
        ValidationError: the address is refused.
    """
    try:
        normalise_address(address)
    except BadAddress as exc:
        raise forms.ValidationError(str(exc)) from exc


class MessageForm(RefusableForm):
    """The message of a batch, and when it is sent. The test and the send button of the review share this form."""

    template = TemplateField(empty_label=None)
    subject = forms.CharField(required=False, max_length=SUBJECT_MAX_CHARS)
    sender = SenderField()
    topic = SendTopicField()
    to = AddressesField(label=gettext_lazy("Addresses for a test"), required=False)
    scheduled_at = SendTimeField(label=gettext_lazy("Send at"), required=False)

    def __init__(self, *args: Any, user: User, template: EmailTemplate | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sender_field = _offer(self, user, template=template)
        topic = self.fields["topic"]
        assert isinstance(topic, SendTopicField)  # noqa: S101  (declared above)
        topic.offer(template)

    def clean_scheduled_at(self) -> datetime | None:
        scheduled_at: datetime | None = self.cleaned_data["scheduled_at"]
        if scheduled_at:
            sentence = say_bad_send_time(scheduled_at, now=timezone.now(), passed_max=timedelta())
            if sentence:
                raise forms.ValidationError(sentence)
        return scheduled_at

    def job_options(self) -> dict[str, Any]:
        """Return the arguments of ``creation.create_job``, without the batch and the user."""
        chosen = self.cleaned_data
        return {
            "template": chosen["template"],
            "subject": chosen["subject"] or None,
            "scheduled_at": chosen["scheduled_at"],
            "sender": chosen["sender"],
            "topic": chosen["topic"],
        }

    def test_options(self) -> dict[str, Any]:
        """Return the arguments of ``send_test_message`` that the user chose. A test is sent now."""
        chosen = self.cleaned_data
        return {
            "to": chosen["to"],
            "template": chosen["template"],
            "subject": chosen["subject"] or None,
            "sender": chosen["sender"],
            "topic": chosen["topic"],
        }


def _offer(form: forms.Form, user: User, *, template: EmailTemplate | None, any_template: bool = False) -> SenderField:
    """Fill the select of a form's sender, and return its field."""
    field = form.fields["sender"]
    assert isinstance(field, SenderField)  # noqa: S101  (both forms declare it so)
    field.offer(user, template=template, any_template=any_template)
    return field


KEY_TAKEN = gettext_lazy("Another template has this key. Choose a different one.")


class TemplateForm(CheckedTemplateForm):
    """A template, as a user writes it."""

    topic = TemplateTopicField()
    based_on = forms.IntegerField(required=False, widget=forms.HiddenInput)
    """The version that the user began to change, so that nobody replaces unseen what somebody else has saved."""

    class Meta:
        model = EmailTemplate
        fields = ["name", "key", "subject", "sender", "topic", "kind", "source", "html", "text"]
        labels = {
            "name": gettext_lazy("Name"),
            "key": gettext_lazy("Key"),
            "subject": gettext_lazy("Subject"),
            "sender": gettext_lazy("From"),
            "source": gettext_lazy("Letter"),
            "html": gettext_lazy("HTML body"),
            "text": gettext_lazy("Text body"),
        }
        help_texts = {
            "key": gettext_lazy("A short name for programs, without spaces. Left empty, it is made from the name."),
            "subject": "",
            "kind": "",
            "source": "",
            "sender": gettext_lazy("Used for this template unless another sender is chosen when it is sent."),
        }
        error_messages = {
            "key": {
                "invalid": gettext_lazy("Use only letters, digits, hyphens and underscores, and no spaces."),
                "unique": KEY_TAKEN,
            }
        }
        widgets = {
            "subject": forms.TextInput(),
            "kind": forms.HiddenInput(),
            "source": forms.Textarea(attrs={"rows": 18}),
            "html": forms.Textarea(attrs={"rows": 16, "class": "code", "spellcheck": "false"}),
            "text": forms.Textarea(attrs={"rows": 10, "class": "code"}),
        }

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user_id = user.pk
        self.fields["key"].required = False
        if self.instance.pk:
            self.fields["based_on"].initial = self.instance.version
        field = self.fields["sender"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101  (Django makes it of the foreign key)
        # The present one stays, so that a user who may not use it does not remove it by a correction of the text.
        keys = [sender.pk for sender in list_senders(user)]
        field.queryset = Sender.objects.filter(pk__in=[*keys, self.instance.sender_id])
        field.empty_label = _("The default sender")

    def refuse(self, sentence: str) -> None:
        """Show above the form why it was not saved. The input stays as the user typed it."""
        self.add_error(None, sentence)

    def make_read_only(self) -> None:
        """Show the template to a user who may not change it."""
        for field in self.fields.values():
            field.disabled = True

    def clean_key(self) -> str:
        """Return the key, or the present one if the field is empty. A new template gets one made from its name."""
        typed: str = self.cleaned_data["key"]
        return typed or self.instance.key or make_template_key(self.cleaned_data.get("name", ""))


def make_template_key(name: str) -> str:
    """Make a key that no template has: the name in lower case with hyphens, and a number if it is taken."""
    max_length = EmailTemplate._meta.get_field("key").max_length or 0
    start = slugify(remove_accents(name))[: max_length - KEY_NUMBER_CHARS].strip("-_") or "template"
    if start.isdigit():  # it would be taken for the number of a template
        start = f"template-{start}"[: max_length - KEY_NUMBER_CHARS]
    taken = set(EmailTemplate.objects.filter(key__startswith=start).values_list("key", flat=True))
    numbered = (f"{start}-{number}" for number in count(2))
    return next(key for key in chain([start], numbered) if key not in taken)
