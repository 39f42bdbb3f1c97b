"""The page that the link in each message of news leads to: unsubscribe, choose topics, undo.

A token enters, and says everything: there is no session, no cookie, no CSRF token and no script. GET and HEAD never
change anything, because programs that search mail for harmful links open them. A POST unsubscribes at once, whatever
its body is, because mail programs send one without asking anybody (RFC 8058). Only the forms of this page say something
else in their field ``act``.

A stranger without a token learns nothing, not even whether an address exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, QueryDict, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from batches import throttling, unsubscribing
from batches.client_address import find_counted_address
from batches.models import Topic
from batches.models.topic import NEWS_TOPIC
from batches.throttling import Rate
from batches.unsubscribe_tokens import PREVIEW_TOKEN, UnsubscribeToken, read_token
from batches.unsubscribing import Preferences
from batches.web.recipient_languages import LANGUAGES, find_language, speaking

WRONG_TOKENS = Rate(name="unsubscribe-wrong", limit_count=30)
"""Wrong tokens of one address. They are counted after they are checked: a stranger's wrong tokens never keep anybody's
right one from working, also if both come through the same proxy of a mailbox provider."""

PAGES = Rate(name="unsubscribe-pages", limit_count=600)
"""Pages with a right token, of one address: a school, or a scanner of mail, has one address for all.

One-click requests are not counted: a mailbox provider sends those of all its users from few addresses, and a second one
with the same token writes nothing.
"""

CHANGES = Rate(name="unsubscribe-changes", limit_count=60)
"""Forms with a right token, of one address. Each may write entries of the audit, which are kept. A one-click request
writes some once, and then only after a form has taken the objection back.
"""


class Act(StrEnum):
    """What a POST asks for."""

    ONE_CLICK = "one-click"
    TOPIC = "topic"
    EVERYTHING = "all"
    SAVE = "save"
    UNDO = "undo"


PAGE, ONE_CLICK = "page", "one-click"
"""What the suppression list and the audit say about the door."""


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Show the page of a token. With POST, do first what the form says."""
    with speaking(find_language(request)):
        if token == PREVIEW_TOKEN:
            return _show_preview(request)
        found = read_token(token)
        if found is None:
            is_above = throttling.is_above(WRONG_TOKENS, _client(request))
            return _throttle(request) if is_above else _refuse(request)
        act = _read_act(request)
        if _is_throttled(act, _client(request)):
            return _throttle(request)
        if act is Act.ONE_CLICK:
            return _unsubscribe_at_once(request, found)
        before = unsubscribing.read_preferences(found)
        if act is None:
            return _show(request, before)
        is_changed = _do(act, found, _read_form(request))
        return _show(request, unsubscribing.read_preferences(found), before=before, act=act, is_changed=is_changed)


def _is_throttled(act: Act | None, client: str) -> bool:
    if act is Act.ONE_CLICK:
        return False
    return throttling.is_above(PAGES if act is None else CHANGES, client)


def _read_act(request: HttpRequest) -> Act | None:
    """Return what a request asks for. None: it only looks."""
    if request.method != "POST":
        return None
    form = _read_form(request)
    named = form.get("act", "")
    is_one_click = "List-Unsubscribe" in form or named not in {*Act} - {Act.ONE_CLICK}
    return Act.ONE_CLICK if is_one_click else Act(named)


def _read_form(request: HttpRequest) -> QueryDict:
    """Return the form. A body that can't be read is none, because the request alone says enough."""
    try:
        return request.POST
    except (BadRequest, MultiPartParserError, RequestDataTooBig, SuspiciousOperation, UnreadablePostError):
        return QueryDict()
    except LookupError:  # Python knows the charset, but no text is written in it: hex, for example
        return QueryDict()


def _unsubscribe_at_once(request: HttpRequest, token: UnsubscribeToken) -> HttpResponse:
    """Do what a one-click request says. Nobody reads the answer, so it costs no more than it must."""
    unsubscribing.unsubscribe(token, source=ONE_CLICK)
    sentence = gettext("You will get no more messages of this kind.")
    context = {"title": gettext("Unsubscribed"), "sentence": sentence}
    return _answer(request, "unsubscribe/sentence.html", context, status=200)


def _do(act: Act, token: UnsubscribeToken, form: QueryDict) -> bool:
    match act:
        case Act.SAVE:
            wanted = {int(each) for each in form.getlist("topic") if each.isdecimal() and len(each) < 19}
            return unsubscribing.set_topics(token, wanted, source=PAGE)
        case Act.UNDO:
            return unsubscribing.undo(token, source=PAGE)
        case _:
            return unsubscribing.unsubscribe(token, source=PAGE, everything=act is Act.EVERYTHING)


def _show(
    request: HttpRequest,
    now: Preferences,
    *,
    before: Preferences | None = None,
    act: Act | None = None,
    is_changed: bool = False,
) -> HttpResponse:
    context = {
        "preferences": now,
        "topic_name": name_topic(now.topic) if now.topic else "",
        "choices": [(choice, name_topic(choice.topic)) for choice in now.choices],
        "said": _say(act, now),
        # What an undo sends: the topics of before. It is offered after a change alone.
        "undone_ids": before.wanted_ids if before is not None and is_changed and act is not Act.UNDO else None,
    }
    return _answer(request, "unsubscribe/page.html", context, status=200)


def _say(act: Act | None, now: Preferences) -> str:
    """Return a sentence about what was done. It is the same for the first request and for a repeated one."""
    if act is None:
        return ""
    if act in (Act.SAVE, Act.UNDO) and now.wanted_ids:
        return gettext("Your choice is saved.")
    if act is Act.TOPIC and now.topic is not None:
        return gettext("You will get no more messages about “%(topic)s”.") % {"topic": name_topic(now.topic)}
    return gettext("You will get no more news from us.")


def name_topic(topic: Topic) -> str:
    """Return the name of a topic. Only the one that every site starts with is translated: a site names the others."""
    return gettext("News") if (topic.key, topic.name) == (NEWS_TOPIC, "News") else topic.name


def _show_preview(request: HttpRequest) -> HttpResponse:
    title = gettext("This is a preview")
    sentence = gettext("In a message that is sent, this link leads each recipient to their own page.")
    return _answer(request, "unsubscribe/sentence.html", {"title": title, "sentence": sentence}, status=200)


def _refuse(request: HttpRequest) -> HttpResponse:
    title = gettext("This link is not valid")
    sentence = gettext(
        "Open the link in the message again, or copy all of it. If that does not help, answer the message and ask not "
        "to get it any more."
    )
    return _answer(request, "unsubscribe/sentence.html", {"title": title, "sentence": sentence}, status=404)


def _throttle(request: HttpRequest) -> HttpResponse:
    title = gettext("Too many requests")
    sentence = gettext("Too many requests came from your network. Wait a minute, then try again.")
    response = _answer(request, "unsubscribe/sentence.html", {"title": title, "sentence": sentence}, status=429)
    response.headers["Retry-After"] = str(PAGES.window_seconds)
    return response


def _answer(request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int) -> HttpResponse:
    """Render a page without the request: nothing in it depends on a session, so none is read."""
    code = find_language(request)
    context = {**context, "language": code, "languages": LANGUAGES, "site": _name_site(request)}
    response = HttpResponse(render_to_string(template, context), status=status)
    response.headers["Content-Language"] = code
    response.headers["Referrer-Policy"] = "no-referrer"  # the address of the page has the token
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    patch_vary_headers(response, ["Accept-Language"])
    return response


def _name_site(request: HttpRequest) -> str:
    """Return the host whose mail this is about."""
    return urlsplit(settings.PUBLIC_URL).hostname or request.get_host().partition(":")[0]


def _client(request: HttpRequest) -> str:
    return find_counted_address(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))
