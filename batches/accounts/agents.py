"""Name a device for people from the User-Agent of its browser: ``"Firefox on Windows"``, in their language."""

from __future__ import annotations

from django.utils.translation import gettext as _

BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
"""In this order, because most browsers also name the ones below them."""

SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)

SHOWN_MAX_CHARS = 60


def name_device(user_agent: str) -> str:
    """Return browser and system, or the beginning of an agent that is neither."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or user_agent[:SHOWN_MAX_CHARS] or _("An unnamed program")
