"""Which bodies may be large, and how many of them there may be at once."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.urls import resolve, reverse

from batches.api import api
from batches.files.errors import ListRefused
from batches.pictures import PICTURE_MAX_BYTES
from emailbatch.request_bodies import arriving
from emailbatch.request_bodies.admission import LARGE_BODIES, SMALL, SMALL_MAX_BYTES, find_limit
from emailbatch.request_bodies.arriving import Arriving
from emailbatch.request_bodies.places import Bounds, Places
from emailbatch.request_bodies.refusal import BodyRefused

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
MIB = 1024 * 1024

PICTURE_VIEWS = {"letter_frame.edit_frame", "letter_frame.upload_picture", "template_editor._change_typed"}
"""They read a picture, for which every user has room."""


def address_of(pattern: str) -> str:
    return pattern.replace("[0-9]+", "7")


def views_that_read_files() -> set[str]:
    """The names of the functions of the pages that read request.FILES."""
    return {
        f"{path.stem}.{function.name}"
        for path in (PROJECT_DIR / "batches" / "web").glob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        and any(isinstance(node, ast.Attribute) and node.attr == "FILES" for node in ast.walk(function))
    }


def test_every_address_that_takes_a_file_is_in_the_table_and_no_other() -> None:
    of_pages = set()
    for pattern in LARGE_BODIES:
        view: Any = resolve(address_of(pattern)).func
        if not pattern.startswith("/api/"):
            of_pages.add(f"{view.__module__.rpartition('.')[2]}.{view.__name__}")
    assert of_pages | PICTURE_VIEWS == views_that_read_files()
    described = {
        path
        for path, methods in api.get_openapi_schema()["paths"].items()
        if "multipart/form-data" in methods.get("post", {}).get("requestBody", {}).get("content", {})
    }
    of_files = {pattern for pattern in LARGE_BODIES if find_limit("POST", address_of(pattern)).is_file}
    assert {re.sub(r"\{\w+\}", "[0-9]+", path) for path in described} == of_files - {"/", *of_page_patterns()}


LETTER_ADDRESSES = {
    "template-new": [],
    "template": ["a-Key_1"],
    "letter-frame": [],
    "picture-upload": [],
    "template-preview": [],
    "template-notes": [],
}


@pytest.mark.parametrize("name", LETTER_ADDRESSES)
def test_picture_fits_beside_the_longest_letter(name: str) -> None:
    limit = find_limit("POST", reverse(name, args=LETTER_ADDRESSES[name]))
    assert not limit.is_large  # who writes letters need not be allowed to send
    assert limit.max_bytes > PICTURE_MAX_BYTES + SMALL_MAX_BYTES
    assert "Make the picture smaller" in limit.refuse().message


def of_page_patterns() -> set[str]:
    return {pattern for pattern in LARGE_BODIES if not pattern.startswith("/api/")}


def test_no_admin_form_takes_a_file() -> None:
    texts = [path.read_text() for path in (PROJECT_DIR / "batches" / "admin").glob("*.py")]
    assert not [text for text in texts if "FileField" in text or ".FILES" in text]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/upload/"), ("POST", "//"), ("POST", ""), ("GET", "/"), ("POST", "/x/api/upload"), ("POST", "/\n")],
)
def test_body_is_small_when_the_address_only_resembles_one_for_a_list(method: str, path: str) -> None:
    assert find_limit(method, path) == SMALL


def make_places(*, for_each: int = 2, in_all: int = 3, total_bytes: int = 100) -> Places:
    return Places(lambda: Bounds(for_each=for_each, in_all=in_all, total_bytes=total_bytes))


def test_place_is_refused_when_the_owner_or_all_have_enough() -> None:
    places = make_places()
    mine = [places.take("me", size_bytes=1) for _ in range(2)]
    with pytest.raises(BodyRefused) as refused:
        places.take("me", size_bytes=1)
    assert refused.value.http_status == 429
    places.take("you", size_bytes=1)
    with pytest.raises(BodyRefused) as refused:
        places.take("she", size_bytes=1)
    assert refused.value.http_status == 503
    mine[0].release()
    mine[0].release()  # twice, as after an answer and a lost connection
    places.take("she", size_bytes=1)
    assert (places.count, places.total_bytes) == (3, 3)


def test_room_is_refused_when_bodies_grow_over_it_and_all_of_it_comes_back() -> None:
    places = make_places(total_bytes=100)
    first, second = places.take(1, size_bytes=60), places.take(2, size_bytes=10)
    second.grow(40)
    with pytest.raises(BodyRefused, match="no room"):
        second.grow(41)
    with pytest.raises(BodyRefused, match="no room"):
        places.take(3, size_bytes=1)
    first.release()
    second.grow(100)
    second.release()
    assert (places.count, places.total_bytes) == (0, 0)


def make_arriving(refused: list[ListRefused], path: str = "/accounts/login/") -> Arriving:
    return Arriving(
        limit=find_limit("POST", path),
        headers=[],
        address="203.0.113.7",
        refuse=refused.append,
        admitted=lambda: None,
    )


async def test_body_is_given_up_when_it_comes_too_slowly_however_fast_it_began(
    monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    monkeypatch.setattr(arriving, "PACE_SECONDS", 0.05)
    refused: list[ListRefused] = []
    body = make_arriving(refused)
    body.receive(SMALL_MAX_BYTES)  # fast at first
    async with asyncio.timeout(10):
        while not refused:
            await asyncio.sleep(0.01)
    assert refused[0].http_status == 408
    body.release()


async def test_body_is_not_given_up_when_it_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "PACE_SECONDS", 0.05)
    refused: list[ListRefused] = []
    body = make_arriving(refused)
    body.receive(10)
    body.end()
    await asyncio.sleep(0.2)  # four measurements would have been made
    assert not refused
    body.release()


async def test_small_bodies_of_one_address_are_limited() -> None:
    refused: list[ListRefused] = []
    bodies = [make_arriving(refused) for _ in range(65)]
    for body in bodies:
        body.expect(100_000)
    assert [each.http_status for each in refused] == [429]
    for body in bodies:
        body.release()
    again = make_arriving(refused)
    again.expect(100_000)
    again.release()
    assert len(refused) == 1
