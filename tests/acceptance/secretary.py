"""A person who uses the pages of a running stack, without a browser: signs in, saves templates, reads what is said."""

from __future__ import annotations

import html
import re
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from urllib.error import HTTPError

from tests.acceptance.stack import RunningStack

ANSWER_SECONDS = 30


class Secretary:
    """A signed-in session of the stack's administrator."""

    def __init__(self, stack: RunningStack) -> None:
        self.url = stack.url.rstrip("/")
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self.get("/accounts/login/")
        _, page = self.post("/accounts/login/", username=stack.username, password=stack.password)
        assert "Sign out" in page

    def get(self, path: str) -> str:
        with self.opener.open(self.url + path, timeout=ANSWER_SECONDS) as answer:
            text: str = answer.read().decode()
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text)
        self.token = found[1] if found else ""
        return text

    def post(self, path: str, **fields: str) -> tuple[str, str]:
        """Post a form, and return the path that it leads to and the text of that page, without tags."""
        body = urllib.parse.urlencode({"csrfmiddlewaretoken": self.token, **fields}).encode()
        headers = {"Referer": self.url + path}
        request = urllib.request.Request(self.url + path, body, headers)  # noqa: S310
        try:
            answer = self.opener.open(request, timeout=ANSWER_SECONDS)
        except HTTPError as refusal:  # a form that is refused is shown again, with the sentences
            answer = refusal
        with answer:
            place = answer.geturl().removeprefix(self.url)
            return place, html.unescape(re.sub(r"<[^>]+>", " ", answer.read().decode()))

    def save_template(self, key: str, *, subject: str, text: str) -> tuple[bool, str]:
        """Save a new template. Return whether it was saved, and the text of the page that says so."""
        self.get("/templates/new/")
        place, page = self.post("/templates/new/", name=key, key=key, subject=subject, text=text, html="")
        return place != "/templates/new/", page

    def save_letter(self, key: str, *, subject: str, text: str) -> tuple[bool, str]:
        """Save a new letter in Markdown. Return whether it was saved, and the text of the page that says so."""
        self.get("/templates/new/")
        place, page = self.post("/templates/new/", name=key, key=key, subject=subject, kind="markdown", source=text)
        return place != "/templates/new/", page
