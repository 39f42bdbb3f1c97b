"""The page that an unsubscribe link leads to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from batches import redis_client
from batches.models import Batch, Email, Suppression, Topic
from batches.models.topic import NEWS_TOPIC
from batches.suppressions import find_digest
from batches.unsubscribe_tokens import PREVIEW_TOKEN, make_token
from batches.web.unsubscribe import CHANGES, PAGES, WRONG_TOKENS

ADDRESS = "ann@example.org"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
HEX_FORM = "multipart/form-data; boundary=x; charset=hex"
"""A charset that Python knows, and that no text is written in."""

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_counts() -> Iterator[None]:
    """Forget how often the address of the test client has come."""
    with redis_client.connect() as client:
        client.delete(*(f"emailbatch:{rate.name}:127.0.0.1" for rate in (CHANGES, PAGES, WRONG_TOKENS)))
    yield


@pytest.fixture
def news(db: None) -> Topic:
    return Topic.objects.get_or_create(key=NEWS_TOPIC, defaults={"name": "News"})[0]


@pytest.fixture
def link(news: Topic) -> str:
    return f"/u/{make_token(news.pk, find_digest(ADDRESS))}"


def rows() -> list[tuple[str | None, str]]:
    return sorted(Suppression.objects.values_list("topic__key", "source"), key=str)


@pytest.mark.parametrize(
    "body",
    [
        {"data": ONE_CLICK},
        {"data": "List-Unsubscribe=One-Click", "content_type": "application/x-www-form-urlencoded"},
        {"data": "", "content_type": "application/x-www-form-urlencoded"},
        {"data": b"", "content_type": "application/octet-stream"},
        {"data": "{}", "content_type": "application/json"},
        {"data": b"--x\r\nbroken", "content_type": "multipart/form-data; boundary=x"},
        {"data": b"nothing", "content_type": "multipart/form-data"},
        {"data": b"\xff\xfe=%zz&&&", "content_type": "application/x-www-form-urlencoded; charset=nonsense"},
        {
            "data": "&".join(f"a{number}=1" for number in range(2000)),
            "content_type": "application/x-www-form-urlencoded",
        },
        {"data": b"a=1", "content_type": "application/x-www-form-urlencoded; charset=utf-16"},
        {"data": b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n", "content_type": HEX_FORM},
        {"data": {"act": "one-click"}},
        {"data": {"act": "nonsense"}},
    ],
    ids=lambda body: str(body["data"])[:30],
)
def test_post_unsubscribes_at_once_whatever_its_body_is(link: str, body: dict[str, Any]) -> None:
    client = Client(enforce_csrf_checks=True)

    def post() -> Any:
        return client.generic("POST", link, **body) if isinstance(body["data"], bytes) else client.post(link, **body)

    response = post()
    assert (response.status_code, response.cookies.output()) == (200, "")
    assert rows() == [("news", "one-click")]
    assert post().status_code == 200
    assert Suppression.objects.count() == 1


def test_post_unsubscribes_at_once_when_its_query_has_too_many_names(link: str, client: Client) -> None:
    query = "&".join(f"a{number}=1" for number in range(2000))
    assert client.post(f"{link}?{query}", ONE_CLICK).status_code == 200
    assert rows() == [("news", "one-click")]


@pytest.mark.parametrize("query", ["", "?act=all", "?List-Unsubscribe=One-Click", "?lang=de&act=undo"])
def test_looking_changes_nothing(link: str, client: Client, query: str) -> None:
    for method in (client.get, client.head, client.options):
        method(link + query)
    assert client.get(link + query).status_code == client.head(link + query).status_code == 200
    assert not client.head(link + query).content
    for method in (client.put, client.patch, client.delete, client.options):
        assert method(link).status_code == 405
    assert rows() == []


def test_page_asks_for_no_cookie_and_runs_no_script(link: str) -> None:
    client = Client()
    response = client.get(link)
    html = response.content.decode()
    assert response.cookies.output() == ""
    assert "<script" not in html and "csrfmiddlewaretoken" not in html and "/accounts/" not in html
    assert response["Referrer-Policy"] == "no-referrer"
    assert "noindex" in response["X-Robots-Tag"]
    assert "no-store" in response["Cache-Control"]
    assert "unsafe" not in response["Content-Security-Policy"]


def test_session_of_the_browser_is_neither_read_nor_ended(link: str, sender: User, settings: LazySettings) -> None:
    settings.REQUIRE_MFA = "all"  # other pages would lead this user to the second factor
    client = Client()
    client.force_login(sender)
    before = {name: each.value for name, each in client.cookies.items()}
    response = client.post(link, ONE_CLICK)
    assert (response.status_code, response.cookies.output()) == (200, "")
    assert {name: each.value for name, each in client.cookies.items()} == before
    assert rows() == [("news", "one-click")]


def test_button_unsubscribes_and_undo_takes_it_back(link: str, client: Client) -> None:
    assert "Unsubscribe from “News”?" in client.get(link).content.decode()
    done = client.post(link, {"act": "topic"}).content.decode()
    assert "You will get no more messages about “News”." in done
    assert rows() == [("news", "page")]
    undone = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', done))
    assert "Your choice is saved." in client.post(link, undone).content.decode()
    assert rows() == []
    client.post(link, ONE_CLICK)
    assert "You get no messages about “News”." in client.get(link).content.decode()
    client.post(link, {"act": "undo"})
    assert rows() == []


def test_preferences_are_saved_and_shown(link: str, client: Client, news: Topic) -> None:
    club = Topic.objects.create(key="club", name="Club <b>", description="Once a week.")
    client.post(link, {"act": "save", "topic": [club.pk]})
    assert rows() == [("news", "page")]
    html = client.get(link).content.decode()
    boxes = dict(re.findall(r'type="checkbox" name="topic" value="(\d+)"([^>]*)', html))
    assert ["checked" in boxes[str(each.pk)] for each in (news, club)] == [False, True]
    assert "Club &lt;b&gt;" in html and "Once a week." in html
    done = client.post(link, {"act": "all"}).content.decode()
    assert "You will get no more news from us." in done
    assert rows() == [("news", "page"), (None, "page")]
    undone = re.findall(r'type="hidden" name="topic" value="(\d+)"', done)
    assert undone == [str(club.pk)]
    client.post(link, {"act": "save", "topic": ["x", "9" * 5000, "²", "-1", *undone]})
    assert rows() == [("news", "page")]


def test_link_works_when_nothing_of_its_batch_is_left(link: str, client: Client, settings: LazySettings) -> None:
    Email.objects.all().delete()
    Batch.objects.all().delete()
    settings.UNSUBSCRIBE_KEYS = ["a newer key", *settings.UNSUBSCRIBE_KEYS]
    settings.SECRET_KEY = "another"
    assert client.post(link, ONE_CLICK).status_code == 200
    assert rows() == [("news", "one-click")]


@pytest.mark.parametrize("change", ["cut", "long", "changed", "x", "key"])
def test_wrong_link_is_404_and_tells_nothing(link: str, client: Client, settings: LazySettings, change: str) -> None:
    other = "A" if link[-1] != "A" else "B"
    wrong = {"cut": link[:-1], "long": link + "A", "changed": link[:-1] + other, "x": "/u/x", "key": link}[change]
    if change == "key":
        settings.UNSUBSCRIBE_KEYS = ["a key that never signed anything"]
    answers = [client.get(wrong), client.post(wrong, ONE_CLICK)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert "This link is not valid" in answers[0].content.decode()
    assert answers[0].content == answers[1].content == client.get("/u/y").content
    assert rows() == []


def test_preview_link_does_nothing_and_says_so(client: Client, news: Topic) -> None:
    for response in (client.get(f"/u/{PREVIEW_TOKEN}"), client.post(f"/u/{PREVIEW_TOKEN}", ONE_CLICK)):
        assert (response.status_code, rows()) == (200, [])
        assert "This is a preview" in response.content.decode()


def test_stranger_has_to_wait_after_many_wrong_tokens_and_a_recipient_does_not(link: str, client: Client) -> None:
    answers = [client.get(f"/u/{number}").status_code for number in range(WRONG_TOKENS.limit_count + 2)]
    assert answers == [404] * WRONG_TOKENS.limit_count + [429] * 2
    assert int(client.get("/u/x")["Retry-After"]) > 0
    assert client.get("/u/x", REMOTE_ADDR="192.0.2.77").status_code == 404
    assert client.post(link, ONE_CLICK).status_code == 200
    assert rows() == [("news", "one-click")]


def test_forms_are_limited_by_address_and_one_click_requests_are_not(link: str, client: Client) -> None:
    answers = [client.post(link, {"act": "undo"}).status_code for _ in range(CHANGES.limit_count + 2)]
    assert answers == [200] * CHANGES.limit_count + [429] * 2
    assert client.post(link, {"act": "undo"}, REMOTE_ADDR="192.0.2.78").status_code == 200
    assert client.post(link, ONE_CLICK).status_code == 200
    assert rows() == [("news", "one-click")]


def test_pages_are_limited_by_address(link: str, client: Client) -> None:
    assert client.get(link).status_code == 200
    with redis_client.connect() as redis:
        redis.incrby(f"emailbatch:{PAGES.name}:127.0.0.1", PAGES.limit_count - 2)
    assert [client.get(link).status_code for _ in range(3)] == [200, 429, 429]
    assert client.get(link, REMOTE_ADDR="192.0.2.79").status_code == 200


def test_nothing_is_limited_wrongly_when_redis_is_away(link: str, client: Client, settings: LazySettings) -> None:
    settings.REDIS_URL = "unix:///nowhere.sock"
    assert client.get(link).status_code == 200
    assert client.post(link, ONE_CLICK).status_code == 200
    answers = [client.get(f"/u/{number}").status_code for number in range(WRONG_TOKENS.limit_count + 2)]
    assert (answers[0], answers[-1]) == (404, 429)
    assert client.get(link).status_code == 200


@pytest.mark.parametrize(
    ("header", "code", "text"),
    [
        ("de", "de", "Von „Neuigkeiten“ abmelden?"),
        ("de-AT,de;q=0.9", "de", "Von „Neuigkeiten“ abmelden?"),
        ("ja, fr;q=0.5, de;q=0.9", "de", "Von „Neuigkeiten“ abmelden?"),
        ("fr-CA", "fr", "Vous désabonner de « Actualités » ?"),
        ("es", "es", "¿Darse de baja de «Noticias»?"),
        ("it", "it", "Annullare l’iscrizione a «Novità»?"),  # noqa: RUF001
        ("nl-BE", "nl", "Afmelden voor ‘Nieuws’?"),  # noqa: RUF001
        ("pl", "pl", "Zrezygnować z subskrypcji „Aktualności”?"),
        ("ja", "en", "Unsubscribe from “News”?"),
        ("de;q=0", "en", "Unsubscribe from “News”?"),
        ("", "en", "Unsubscribe from “News”?"),
        (";;;=,q=,*", "en", "Unsubscribe from “News”?"),
    ],
)
def test_page_is_in_the_language_of_the_request(link: str, client: Client, header: str, code: str, text: str) -> None:
    response = client.get(link, headers={"Accept-Language": header})
    html = response.content.decode()
    assert text in html
    assert f'<html lang="{code}">' in html
    assert (response["Content-Language"], "Accept-Language" in response["Vary"]) == (code, True)
    assert "Unsubscribe from" in client.get(link).content.decode()  # the next request has its own language


def test_language_that_is_chosen_on_the_page_wins(link: str, client: Client) -> None:
    headers = {"Accept-Language": "pl"}
    assert '<html lang="de">' in client.get(f"{link}?lang=de", headers=headers).content.decode()
    assert '<html lang="pl">' in client.get(f"{link}?lang=xx", headers=headers).content.decode()
    assert "Abgemeldet" in client.post(f"{link}?lang=de", {"act": "topic"}).content.decode()


def test_name_of_a_topic_is_translated_only_if_the_site_has_not_named_it(client: Client) -> None:
    may = Topic.objects.create(key="may", name="May")  # a month in the catalogue of Django
    link = f"/u/{make_token(may.pk, find_digest(ADDRESS))}"
    assert "Von „May“ abmelden?" in client.get(link, headers={"Accept-Language": "de"}).content.decode()
