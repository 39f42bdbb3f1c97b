"""The language of the pages: by account, else by this browser, else as the browser says, else as the site."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from batches import languages
from batches.models import Preference

GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}


def language_of(client: Client, path: str = "/accounts/login/", **headers: str) -> str:
    response = client.get(path, headers=headers)
    named: str = response.headers["Content-Language"]
    assert f'<html lang="{named}"' in response.content.decode()
    return named


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("accepted", "named"),
    [("", "en"), ("de-AT,de;q=0.9", "de"), ("ja", "en"), ("nl, fr;q=0.5", "fr"), ("es;q=0", "en")],
)
def test_page_has_the_language_of_the_browser_when_nothing_is_chosen(accepted: str, named: str) -> None:
    assert language_of(Client(), **{"Accept-Language": accepted}) == named


@pytest.mark.django_db
def test_page_has_the_language_of_the_site_when_the_browser_names_none(settings: Settings) -> None:
    settings.SITE_LANGUAGE = "fr"
    assert language_of(Client()) == "fr"


@pytest.mark.django_db
def test_choice_stays_in_this_browser_when_nobody_is_signed_in() -> None:
    client = Client()
    answer = client.post("/language/", {"language": "es", "next": "/accounts/login/"}, headers=GERMAN)
    assert answer.headers["Location"] == "/accounts/login/"
    assert language_of(client, **GERMAN) == "es"


def test_choice_of_the_account_holds_in_another_browser_when_it_is_stored(page: Client, sender: User) -> None:
    page.post("/language/", {"language": "fr", "next": "/accounts/language/"})
    other = Client()
    other.force_login(sender)
    assert language_of(page, "/accounts/language/", **GERMAN) == "fr"
    assert language_of(other, "/batches/", **GERMAN) == "fr"
    assert languages.find_language_of_user(sender) == "fr"


def test_browser_decides_again_when_the_choice_is_taken_back(page: Client, sender: User) -> None:
    page.post("/language/", {"language": "fr"})
    page.post("/language/", {"language": ""})
    assert language_of(page, "/batches/", **GERMAN) == "de"
    assert Preference.objects.get(user=sender).language == ""


@pytest.mark.parametrize("language", ["../de", "xx", "nl"])
def test_nothing_is_stored_when_the_language_is_not_offered(page: Client, language: str) -> None:
    page.post("/language/", {"language": language})
    assert not Preference.objects.exists()


@pytest.mark.parametrize("after", ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)", ""])
def test_person_stays_on_this_site_when_a_form_names_another(page: Client, after: str) -> None:
    assert page.post("/language/", {"language": "de", "next": after}).headers["Location"] == "/"


@pytest.mark.django_db
def test_program_gets_english_when_it_names_no_language(settings: Settings) -> None:
    settings.SITE_LANGUAGE = "de"
    assert Client().get("/api/batches").headers["Content-Language"] == "en"
    assert Client().get("/api/batches", headers=GERMAN).headers["Content-Language"] == "de"


@pytest.mark.django_db
def test_answer_says_that_it_depends_on_the_language_of_the_browser() -> None:
    assert "Accept-Language" in Client().get("/accounts/login/").headers["Vary"]


def test_words_of_the_scripts_are_kept_in_caches_when_their_digest_is_in_the_address(page: Client) -> None:
    answer = page.get("/words/de-0123456789ab.js")
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Type"].startswith("text/javascript")
