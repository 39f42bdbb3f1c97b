"""The LetterFrame is what every Markdown letter of the site has around its words. A Picture is what letters show."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

FRAME_ID = 1
"""The table has one row at most."""


class PictureQuerySet(models.QuerySet["Picture"]):
    def without_content(self) -> PictureQuerySet:
        """Leave out the bytes, which lists do not need."""
        return self.defer("content")


class Picture(models.Model):
    """An uploaded picture. It is served to everybody by the hash of its content, so it never changes."""

    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    content = models.BinaryField(_("content"))
    content_type = models.CharField(_("content type"), max_length=30)
    name = models.CharField(_("name"), max_length=200)
    width = models.PositiveIntegerField(_("width"))
    height = models.PositiveIntegerField(_("height"))
    size_bytes = models.PositiveIntegerField(_("size in bytes"))
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("uploaded by"),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    objects = PictureQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("picture")
        verbose_name_plural = _("pictures")

    def __str__(self) -> str:
        return self.name


class LetterFrame(models.Model):
    """Logo, colour and footer of all Markdown letters. Without a row, letters have the colour of the program alone."""

    accent = models.CharField(_("colour"), max_length=7, blank=True)
    logo = models.ForeignKey(
        Picture, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("logo")
    )
    logo_words = models.CharField(_("words for the logo"), max_length=200, blank=True)
    footer = models.TextField(_("footer"), blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("frame of letters")
        verbose_name_plural = _("frames of letters")
        constraints = [models.CheckConstraint(condition=models.Q(pk=FRAME_ID), name="letter_frame_once")]

    def __str__(self) -> str:
        return str(_("frame of letters"))
