"""Templates over the API: read, written, changed by those who may, and with their versions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from batches.models import EmailTemplate, Topic, TopicKind
from batches.template_versions import restore_version
from tests.conftest import MakeSender, MakeUser

PARTS = {"name": "Council", "subject": "Council news", "html": "", "text": "Dear {{ name }}"}


@pytest.fixture
def api(sender: User) -> Client:
    return signed_in(sender)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def create(client: Client, **parts: object) -> tuple[int, dict[str, Any]]:
    body = {"key": "council", **PARTS, **parts}
    answer = client.post("/api/templates", json.dumps(body), content_type="application/json")
    return answer.status_code, answer.json()


def change(client: Client, key: str = "council", **parts: object) -> tuple[int, dict[str, Any]]:
    body = json.dumps({**PARTS, **parts})
    answer = client.put(f"/api/templates/{key}", body, content_type="application/json")
    return answer.status_code, answer.json()


def test_template_is_written_and_read(api: Client) -> None:
    status, made = create(api)
    assert (status, made["owner"], made["version"], made["mergeFields"]) == (201, "sender", 1, ["name"])
    assert api.get("/api/templates/council").json() == made
    assert create(api)[0] == 409
    status, changed = change(api, text="Changed", basedOn=1)
    assert (status, changed["version"], changed["text"]) == (200, 2, "Changed")
    assert change(api, text="Late", basedOn=1)[0] == 409
    versions = api.get("/api/templates/council/versions", {"limit": 1}).json()
    assert [(each["version"], each["text"], each["savedBy"]) for each in versions["items"]] == [
        (2, "Changed", "sender")
    ]
    rest = api.get("/api/templates/council/versions", {"cursor": versions["next"]}).json()
    assert [each["version"] for each in rest["items"]] == [1]


def test_templates_are_listed_in_pages(api: Client, welcome: EmailTemplate) -> None:
    for name in ("Autumn", "Spring", "Winter"):
        create(api, key=name.lower(), name=name)
    names, cursor = [], ""
    while cursor is not None:
        answer = api.get("/api/templates", {"limit": "2", "cursor": cursor}).json()
        assert len(answer["items"]) <= 2
        names += [each["name"] for each in answer["items"]]
        cursor = answer["next"]
    assert names == ["Autumn", "Spring", welcome.name, "Winter"]
    assert api.get("/api/templates", {"cursor": "x"}).status_code == 422


def test_key_is_not_the_number_of_another_template(api: Client, make_user: MakeUser) -> None:
    """A program that names a template by its number would send the one with that key."""
    _, made = create(signed_in(make_user("ann", "Senders")))
    assert create(api, key=str(made["id"]))[0] == 422
    assert create(api, key=f"{made['id']}-council")[0] == 201


def test_template_of_another_user_is_only_read(api: Client, make_user: MakeUser) -> None:
    create(signed_in(make_user("ann", "Senders")))
    assert api.get("/api/templates/council").json()["owner"] == "ann"
    status, answer = change(api, text="Evil")
    assert (status, "Copy it" in answer["detail"]) == (403, True)
    assert change(signed_in(make_user("editor", "Template editors")), text="Better")[0] == 200
    assert EmailTemplate.objects.get().text == "Better"


@pytest.mark.parametrize(
    "parts",
    [
        *({"text": ""}, {"text": "{{ "}, {"subject": ""}, {"name": ""}, {"key": "two words"}, {"key": "x" * 101}),
        *({"sender": "none"}, {"body": "x"}, {"name": "x" * 201}, {"subject": "x" * 999}, {"text": "a\0b"}),
    ],
)
def test_template_that_can_not_be_used_is_refused(parts: dict[str, object], api: Client) -> None:
    assert create(api, **parts)[0] == 422
    assert not EmailTemplate.objects.exists()


def test_sender_of_a_template_is_one_that_the_user_may_use(
    api: Client, make_sender: MakeSender, make_user: MakeUser, sender: User
) -> None:
    make_sender("choir", users=(sender,))
    make_sender("head", users=(make_user("head"),))
    assert create(api, sender="head")[0] == 403
    assert create(api, sender="choir")[1]["sender"] == "choir"
    assert change(api, sender=None)[1]["sender"] is None


def test_answer_is_404_when_there_is_no_such_template(api: Client) -> None:
    assert api.get("/api/templates/none").status_code == 404
    assert api.get("/api/templates/none/versions").status_code == 404
    assert change(api, "none")[0] == 404


def test_topic_of_a_template_is_written_and_kept(api: Client, settings: LazySettings) -> None:
    settings.PUBLIC_URL = "https://mail.example.org"
    Topic.objects.create(key="events", name="Events", kind=TopicKind.NEWS, footer="The school.")
    new = {"key": "party", "name": "Party", "subject": "S", "text": "Come: {{ unsubscribe_url }}", "topic": "events"}
    made = api.post("/api/templates", new, content_type="application/json")
    assert (made.status_code, made.json()["topic"], made.json()["mergeFields"]) == (201, "events", [])
    shown = api.post("/api/templates/party/preview", {}, content_type="application/json").json()
    assert shown["text"] == "Come: https://mail.example.org/u/preview"
    shown = api.post("/api/templates/party/preview", {"text": "Hi"}, content_type="application/json").json()
    assert "The school." in shown["text"]

    assert change(api, "party")[1]["topic"] == "events"
    assert change(api, "party", topic=None)[1]["topic"] == "service"
    status, answer = change(api, "party", text="{{ unsubscribe_url }}")
    assert status == 422 and answer["detail"].startswith("Nobody can unsubscribe from service mail")
    assert change(api, "party", topic="nothing")[0] == 422
    versions = api.get("/api/templates/party/versions").json()["items"]
    assert [version["topic"] for version in versions] == ["service", "events", "events"]
    template = EmailTemplate.objects.get(key="party")
    restore_version(template, 1, by=User.objects.get(username="sender"))
    assert EmailTemplate.objects.get(key="party").topic == Topic.objects.get(key="events")


def test_topics_are_listed(api: Client) -> None:
    Topic.objects.update_or_create(key="news", defaults={"name": "News", "kind": TopicKind.NEWS})
    Topic.objects.create(key="z", name="Zoo", kind=TopicKind.SERVICE, description="Animals.")
    items = api.get("/api/topics").json()["items"]
    assert items[-1] == {"key": "z", "name": "Zoo", "kind": "service", "description": "Animals."}
    assert [item["kind"] for item in items if item["key"] == "news"] == ["news"]


def test_letter_is_written_and_read_by_its_source(client: Client, sender: User) -> None:
    client.force_login(sender)
    letter = {"key": "party", "name": "Party", "subject": "S", "source": "Dear **{{ name }}**"}
    made = client.post("/api/templates", json.dumps(letter), content_type="application/json")
    assert made.status_code == 201
    answer = client.get("/api/templates/party").json()
    assert (answer["kind"], answer["source"]) == ("markdown", letter["source"])
    assert "<strong>{{ name }}</strong>" in answer["html"]
    assert client.get("/api/templates/party/versions").json()["items"][0]["source"] == letter["source"]
    options = json.dumps({"fields": {"name": "Eva"}, "source": "Hello *{{ name }}*"})
    preview = client.post("/api/templates/party/preview", options, content_type="application/json").json()
    assert preview["text"] == "Hello Eva"
    broken = json.dumps(letter | {"key": "b", "source": "a\n**{% if x %}b** c{% endif %}"})
    refused = client.post("/api/templates", broken, content_type="application/json")
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("The letter can't be used in line 2:")


@pytest.mark.parametrize("parts", [{"source": "a", "html": "b"}, {"kind": "html", "source": "a"}, {"kind": "markdown"}])
def test_template_is_refused_when_its_kind_and_its_bodies_differ(
    parts: dict[str, str], client: Client, sender: User
) -> None:
    client.force_login(sender)
    body = json.dumps({"key": "party", "name": "Party", "subject": "S", **parts})
    assert client.post("/api/templates", body, content_type="application/json").status_code == 422
