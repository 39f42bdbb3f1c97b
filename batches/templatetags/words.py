"""The tag ``words_script``, for the sentences of the scripts, and filters.

``say`` is for sentences that are in English, and ``outline`` for lines of a template.
"""

from __future__ import annotations

from django import template
from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from batches.languages import find_version
from batches.translations import say
from batches.wording import outline

register = template.Library()
register.filter(outline)


@register.filter(name="say")
def say_sentence(sentence: object) -> object:
    """Say an English sentence of ours in the language of the page. HTML stays as it is."""
    return sentence if isinstance(sentence, SafeString) or sentence is None else say(sentence)


@register.simple_tag
def words_script() -> SafeString:
    """Load the catalogue of the scripts. It comes before the modules, which run in the order of the page.

    The scripts' own sentences are in English, so English needs none.
    """
    language = get_language() or settings.LANGUAGE_CODE
    version = "" if language == settings.LANGUAGE_CODE else find_version(language)
    if not version:
        return SafeString("")
    return format_html('<script defer src="{}"></script>', reverse("words", args=(language, version)))
