"""Open the pages of the catalogue in a browser, one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fnmatch import fnmatch

from django.template.loader import render_to_string
from playwright.sync_api import Browser, BrowserContext, Page

from tests.catalogue.acts import Shown
from tests.catalogue.world import World

HEIGHT = 900
HIGHEST = 12_000
SENTENCE = "Other requests take all connections of the database. Try again in a moment."
END_TRANSITIONS = """() => Promise.all(
  document.getAnimations().filter((each) => each instanceof CSSTransition).map((each) => each.finished.catch(() => {}))
)"""
"""The colours of Django's admin change in a sixth of a second, and are neither the old nor the new ones meanwhile."""


class Tour:
    """One browser that looks at one site, as everybody who has an account there."""

    def __init__(self, browser: Browser, site: str, world: World) -> None:
        self._browser, self._site, self._world = browser, site, world
        self._contexts: dict[str, BrowserContext] = {}

    def close(self) -> None:
        for context in self._contexts.values():
            context.close()

    @contextlib.contextmanager
    def show(self, shown: Shown, *, width: int, scheme: str = "light") -> Iterator[Page]:
        """Open a page in its state, in a tab that is closed afterwards."""
        has_own_context = shown.is_alone or shown.who == "nobody"
        context = self._open_context(shown.who) if has_own_context else self._context(shown.who)
        page = context.new_page()
        try:
            view(page, width=width, scheme=scheme)
            address = shown.address.format_map(self._world.ids)
            if body := shown.body or _render(shown.template):
                page.route(address, lambda route: route.fulfill(body=body, content_type="text/html"))
            page.goto(address)
            if shown.act:
                page.evaluate("address => { window.sought = address }", self._world.texts.make_address(0))
                shown.act(page)
            yield page
        finally:
            page.close()
            if has_own_context:
                context.close()

    def _context(self, who: str) -> BrowserContext:
        if who not in self._contexts:
            self._contexts[who] = self._open_context(who)
        return self._contexts[who]

    def _open_context(self, who: str) -> BrowserContext:
        context = self._browser.new_context(base_url=self._site, reduced_motion="reduce")
        if who != "nobody":
            context.add_cookies([{"name": "sessionid", "value": self._world.cookies[who], "url": self._site}])
        return context


def _render(template: str) -> str:
    return render_to_string(template, {"sentence": SENTENCE, "reason": SENTENCE}) if template else ""


def view(page: Page, *, width: int, scheme: str) -> None:
    """Give an open page another width and other colours."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.evaluate(END_TRANSITIONS)


def unfold(page: Page) -> None:
    """Make the window as high as the page. A browser draws a frame of a letter only when it comes into sight."""
    size = page.viewport_size
    assert size is not None
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": min(max(HEIGHT, height), HIGHEST)})
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    for frame in page.frames[1:]:
        frame.wait_for_load_state()


def choose(pages: list[Shown], pattern: str) -> list[Shown]:
    """Return the pages whose name matches a pattern as of a shell, or begins with it."""
    return [shown for shown in pages if fnmatch(shown.name, pattern) or shown.name.startswith(pattern)]
