"""No page is wider than the window, and no cell is cut or printed over another, with the longest data that can come."""

from __future__ import annotations

import functools
import os

import pytest
from playwright.sync_api import Browser, Page

from tests.acceptance.browser import running_site
from tests.catalogue import world
from tests.catalogue.pages import PAGES
from tests.catalogue.texts import LONG
from tests.catalogue.tour import Tour, view

pytestmark = pytest.mark.skipif("LONG_TESTS" not in os.environ, reason="It takes minutes: set LONG_TESTS=1.")

WIDTHS = (360, 768, 1440, 1600)
MEASURE = """() => {
  const found = [], slack = 2; // rounding, and the edge of a word in code
  const name = (element) =>
    `${element.tagName.toLowerCase()}.${element.className} "${element.textContent.trim().slice(0, 40)}"`;
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth + slack) {
    found.push(`the page is ${page.scrollWidth - page.clientWidth} pixels too wide`);
    for (const element of document.querySelectorAll("body *")) {
      if (element.getBoundingClientRect().right > page.clientWidth + slack) found.push(`  by ${name(element)}`);
    }
  }
  for (const box of document.querySelectorAll(".scroll")) {
    if (!box.checkVisibility() || !box.querySelector("table:not(.sheet)")) continue;
    const surplus = box.scrollWidth - box.clientWidth;
    if (surplus > slack) found.push(`a table goes on for ${surplus} pixels out of sight`);
  }
  for (const cell of document.querySelectorAll("td, th, dd, .pill, h1, h2, p, label, button, a.button")) {
    if (!cell.checkVisibility() || cell.closest(".hush, .skip")) continue;
    const style = getComputedStyle(cell);
    if (style.display === "inline") continue;
    if (cell.scrollWidth > cell.clientWidth + slack && cell.clientWidth > 0) {
      found.push(`cut or printed over: ${name(cell)} by ${cell.scrollWidth - cell.clientWidth}`);
    }
  }
  return found.slice(0, 12);
}"""
"""A list that is reviewed (``.sheet``) has as many columns as its file, and goes on to the right."""


def test_nothing_is_too_wide(transactional_db: None, chromium: Browser) -> None:
    world.clear()
    long_world = world.build(functools.partial(world.build_world, LONG))
    faults: list[str] = []
    with running_site() as site:
        tour = Tour(chromium, site, long_world)
        for shown in PAGES:
            with tour.show(shown, width=WIDTHS[0]) as page:
                for width in WIDTHS:
                    view(page, width=width, scheme="light")
                    faults += [f"{shown.name} at {width}: {fault}" for fault in find_faults(page)]
        tour.close()
    assert faults == []


def find_faults(page: Page) -> list[str]:
    """Return what is too wide, in a sentence each."""
    return list(page.evaluate(MEASURE))
