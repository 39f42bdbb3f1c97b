"""Which language a page for recipients has."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from django.utils import translation

from batches.web.recipient_languages import LANGUAGES, find_language, speaking


@pytest.mark.parametrize(
    ("query", "header", "code"),
    [
        ("", "", "en"),
        ("", "de-CH, fr;q=0.8", "de"),
        ("", "fr;q=0.8, de-CH", "de"),
        ("", "ja, *;q=0.1", "en"),
        ("", "NL", "nl"),
        ("", "de;q=0, pl;q=0.1", "pl"),
        ("", "x" * 10_000 + ",de", "en"),
        ("lang=it", "de", "it"),
        ("lang=../de", "de", "de"),
    ],
)
def test_language_is_found_when_the_request_names_one(query: str, header: str, code: str) -> None:
    request = RequestFactory().get(f"/u/x?{query}", headers={"Accept-Language": header})
    assert find_language(request) == code


def test_language_ends_with_the_context() -> None:
    before = translation.get_language()
    for language in LANGUAGES:
        with speaking(language.code):
            assert translation.get_language() == language.code
    assert translation.get_language() == before
