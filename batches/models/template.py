"""An EmailTemplate is a subject, an HTML body and a text body, with merge fields."""

from __future__ import annotations

from django.conf import settings
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from batches.models.choices import TemplateKind
from batches.models.topic import MessageTopic, Topic

ID_MAX_DIGITS = 18
"""A number with more digits may not fit PostgreSQL's bigint, and Python reads none of more than 4,300."""

NAMED_COUNT_MAX = 20
"""How many templates an error names."""


class TemplateNotFound(Exception):
    """No template has this key, or none is the default. The message names the templates that exist."""


class EmailTemplateQuerySet(models.QuerySet["EmailTemplate"]):
    def find_default(self) -> EmailTemplate | None:
        """The default template, if one is marked."""
        return self.filter(is_default=True).first()

    def find_named(self, key: str | int | None) -> EmailTemplate:
        """The template of this key, or of this id; the default one for None and for an empty key.

        Raises:
            TemplateNotFound: there is no such template.
        """
        if key is None or key == "":
            found = self.find_default()
            if found is None:
                raise TemplateNotFound(f"No template is marked as the default, so name one. {self._name_some()}")
            return found
        found = self.filter(key=str(key)).first()
        if found is None and str(key).isascii() and str(key).isdigit() and len(str(key)) <= ID_MAX_DIGITS:
            found = self.filter(pk=int(key)).first()
        if found is None:
            raise TemplateNotFound(f"There is no template '{str(key)[:100]}'. {self._name_some()}")
        return found

    def _name_some(self) -> str:
        keys = list(self.order_by("key").values_list("key", flat=True)[:NAMED_COUNT_MAX])
        if not keys:
            return "There are no templates yet. Write one on the page /templates/."
        return f"The templates are: {', '.join(keys)}."

    def make_default(self, template_id: int) -> None:
        """Make this template the default instead of the present one."""
        with transaction.atomic():
            # Every row is locked, in the order of the ids: of two people who choose at the same time, one waits for
            # the other. A lock on the two rows alone would let a third choice slip between and violate the index.
            list(self.select_for_update().order_by("pk").values_list("pk"))
            self.filter(is_default=True).update(is_default=False)
            self.filter(pk=template_id).update(is_default=True)


class EmailTemplate(models.Model):
    """The message that a job sends. A job keeps a copy of its parts, so an edit changes no job that exists."""

    key = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    subject = models.TextField(help_text=_("A merge field looks like {{ name }}."))
    kind = models.CharField(
        _("kind"),
        max_length=10,
        choices=TemplateKind.choices,
        default=TemplateKind.HTML,
        db_default=TemplateKind.HTML,
        help_text=_("How its body is written: as a letter in Markdown, or as HTML and text."),
    )
    source = models.TextField(
        _("letter"),
        blank=True,
        default="",
        db_default="",
        help_text=_("The letter in Markdown. HTML and text are made from it when it is saved."),
    )
    html = models.TextField("HTML", blank=True)
    text = models.TextField(blank=True)
    sender = models.ForeignKey(
        "Sender",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("The sender that is chosen if nobody names another."),
    )
    topic = models.ForeignKey(
        Topic,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="templates",
        help_text=_("What it is about. Empty: service mail, which nobody can unsubscribe from."),
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Who may edit it, besides template editors. Everybody who is signed in may use it."),
    )
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    merge_fields = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        editable=False,
        help_text=_("The merge fields as it writes them. Worked out when it is saved."),
    )
    fault = models.TextField(
        blank=True, db_default="", editable=False, help_text=_("Why it can't be used. Worked out when it is saved.")
    )
    analysed_digest = models.CharField(
        max_length=64, blank=True, db_default="", editable=False, help_text=_("Of the parts that were worked out last.")
    )
    is_default = models.BooleanField(default=False, help_text=_("An upload that names no template uses this one."))
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    objects = EmailTemplateQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="template_one_default"
            ),
            models.CheckConstraint(
                condition=~models.Q(html="", text=""),
                name="template_has_body",
                violation_error_message="Give the template an HTML body, a text body, or both.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def message_topic(self) -> MessageTopic | None:
        """What a message made of it says of its topic. None: service."""
        return self.topic.message_topic if self.topic else None


class TemplateVersion(models.Model):
    """The parts of a template as one save left them, with who saved them and when. Rows are only inserted."""

    template = models.ForeignKey(EmailTemplate, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=200)
    subject = models.TextField()
    kind = models.CharField(
        _("kind"), max_length=10, choices=TemplateKind.choices, default=TemplateKind.HTML, db_default=TemplateKind.HTML
    )
    source = models.TextField(_("letter"), blank=True, default="", db_default="")
    html = models.TextField(blank=True)
    text = models.TextField(blank=True)
    # PROTECT: without its topic, news that is restored would go out as service mail, with no way to unsubscribe.
    topic = models.ForeignKey(Topic, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    saved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    saved_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["template", "-number"]
        constraints = [models.UniqueConstraint(fields=["template", "number"], name="template_version_once")]

    def __str__(self) -> str:
        return f"version {self.number} of template {self.template_id}"
