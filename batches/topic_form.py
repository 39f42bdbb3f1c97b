"""The fields in which a person chooses a topic: for a template, and for one send."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.models import SERVICE_TOPIC, EmailTemplate, Topic

SERVICE_LABEL = gettext_lazy("Service")


class TemplateTopicField(forms.ModelChoiceField):  # type: ignore[type-arg]  # Django's class takes no argument
    """The topic of a template. The empty choice is service mail, so the topic of that name is no choice beside it."""

    def __init__(self) -> None:
        super().__init__(
            Topic.objects.exclude(key=SERVICE_TOPIC),
            label=gettext_lazy("Topic"),
            required=False,
            empty_label=SERVICE_LABEL,
            help_text=gettext_lazy(
                "Recipients can unsubscribe from news, by a link in each mail. Service is what they must get."
            ),
        )

    def label_from_instance(self, obj: Topic) -> str:
        return label_topic(obj)


class SendTopicField(forms.CharField):
    """A key of a topic, or an empty text: the template's topic."""

    def __init__(self) -> None:
        super().__init__(label=gettext_lazy("Topic"), required=False, max_length=50, widget=forms.Select)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Leave out ``maxlength``, which a select does not have."""
        return {}

    def offer(self, template: EmailTemplate | None, *, any_template: bool = False) -> None:
        """Fill the select. The empty choice names the template's topic.

        Args:
            any_template: The user can still choose another template in the form, without a new page.
        """
        if any_template:
            topics = [(topic.key, label_topic(topic)) for topic in Topic.objects.order_by("name")]
            self.widget.choices = [("", _("The letter's own topic")), *topics]
            return
        own = template.topic if template else None
        others = Topic.objects.exclude(key=own.key if own else SERVICE_TOPIC).order_by("name")
        choices = [("", _("As usual: %(chosen)s") % {"chosen": label_topic(own) if own else SERVICE_LABEL})]
        self.widget.choices = [*choices, *((topic.key, label_topic(topic)) for topic in others)]


def label_topic(topic: Topic) -> str:
    """Show the name of a topic, and its kind if that is service: most topics are news."""
    is_plain = topic.is_news or topic.key == SERVICE_TOPIC
    return topic.name if is_plain else _("%(topic)s (service)") % {"topic": topic.name}
