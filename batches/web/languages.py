"""The language of the pages: the middleware that sets it, the form that chooses it, and the words of the scripts.

The choice is a cookie of the browser, so that the sign-in page has it too, and a row of the account.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods
from django.views.i18n import JavaScriptCatalog

from batches.languages import CODES, choose_language, find_language, read_choice

FOR_RECIPIENTS = "/u/"
"""Pages for everybody who has the link. They know no session, and have more languages: see recipient_languages.py."""

COOKIE_SECONDS = 365 * 24 * 3600
CATALOGUE_SECONDS = 365 * 24 * 3600


class Languages(MiddlewareMixin):
    """Answers each request in the language of the person: see batches/languages.py."""

    def process_request(self, request: HttpRequest) -> None:
        is_for_recipients = request.path_info.startswith(FOR_RECIPIENTS)
        translation.activate(settings.LANGUAGE_CODE if is_for_recipients else find_language(request))

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not request.path_info.startswith(FOR_RECIPIENTS):
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
            response.headers.setdefault("Content-Language", translation.get_language())
        return response


@require_http_methods(["GET", "HEAD", "POST"])
def choose(request: HttpRequest) -> HttpResponse:
    """Choose the language for this browser and for the account, then go on where the person was.

    An empty language means: as the browser says.
    """
    if request.method != "POST":
        return redirect("/")
    code = request.POST.get("language", "")
    after = request.POST.get("next", "/")
    is_ours = url_has_allowed_host_and_scheme(after, allowed_hosts=None) and after.startswith("/")
    response = redirect(after if is_ours else "/")
    if code in CODES:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            code,
            max_age=COOKIE_SECONDS,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    elif code == "":
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME, samesite="Lax")
    else:
        return response
    choose_language(request, code)
    return response


@login_required
def show_language(request: HttpRequest) -> HttpResponse:
    """Show the choice of the account."""
    return render(request, "account/language.html", {"chosen": read_choice(request)})


class _Catalogue(JavaScriptCatalog):
    """The sentences of our own scripts, and none of other applications."""

    def get_paths(self, packages: list[str]) -> list[str]:
        return list(map(str, settings.LOCALE_PATHS))


def show_words(request: HttpRequest, language: str, version: str) -> HttpResponseBase:
    """Return the sentences of the scripts in a language. The address has a digest of them, so it may be cached."""
    with translation.override(language if language in CODES else settings.LANGUAGE_CODE):
        response = _Catalogue.as_view(packages="batches")(request)
    response.headers["Cache-Control"] = f"public, max-age={CATALOGUE_SECONDS}, immutable"
    return response
