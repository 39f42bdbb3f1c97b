"""Put the frame of the site around a letter: logo, colour and footer, for all screens, light and dark. Pure.

A fragment of HTML, or a text, enters. A whole document, or the text with the footer, leaves. Every style that matters
is in its element, because some mail programs read no style sheet. The style sheet only adds the dark colours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

DEFAULT_ACCENT = "#3d56d6"
LINK_LUMINANCE_MAX = 0.183
"""A link of a lighter colour could not be read on white (contrast 4.5, WCAG 2.2). It gets the colour of the words."""

_INK = "#1b2430"
_ACCENT = re.compile(r"#[0-9a-fA-F]{6}")

_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_STYLES = {
    "p": "margin:0 0 16px",
    "h1": "margin:0 0 16px;font-size:24px;line-height:1.25",
    "h2": "margin:24px 0 12px;font-size:19px;line-height:1.3",
    "h3": "margin:20px 0 8px;font-size:16px;line-height:1.4",
    "ul": "margin:0 0 16px;padding-left:24px",
    "ol": "margin:0 0 16px;padding-left:24px",
    "li": "margin:0 0 4px",
    "blockquote": "margin:0 0 16px;padding-left:14px;border-left:3px solid #c4cad4",
    "hr": "border:0;border-top:1px solid #c4cad4;margin:24px 0",
    "table": "border-collapse:collapse;margin:0 0 16px;width:100%",
    "th": "text-align:left;padding:6px 10px;border-bottom:2px solid #c4cad4",
    "td": "text-align:left;vertical-align:top;padding:6px 10px;border-bottom:1px solid #c4cad4",
    "img": "max-width:100%;height:auto;border:0",
}
_ELEMENT = re.compile(r"<(p|h[123]|ul|ol|li|blockquote|hr|table|th|td|img|a)(?=[ >])((?:[^<>\"]|\"[^\"]*\")*)>")
_BUTTON_CLASS = ' class="button"'

_SHEET = """\
:root { color-scheme: light dark; supported-color-schemes: light dark; }
@media (max-width: 480px) { .sheet { padding: 20px 18px !important; } }
@media (prefers-color-scheme: dark) {
  body, .ground { background: #14171c !important; color: #b4bcc8 !important; }
  .sheet { background: #1f242c !important; color: #eceff4 !important; }
  .sheet a:not(.button) { color: #a9b7ff !important; }
}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """What all letters of a site have around their words."""

    accent: str = DEFAULT_ACCENT
    """The colour of the line at the top, of links and buttons: ``#`` and six hexadecimal digits."""
    logo_url: str = ""
    logo_words: str = ""
    """What is read instead of the logo where pictures are not shown."""
    footer: str = ""
    """Words below the letter, such as the postal address. It has no template tags."""


def is_accent(text: str) -> bool:
    """Whether a text is a colour that a frame can have."""
    return _ACCENT.fullmatch(text) is not None


def frame_html(fragment: str, frame: Frame) -> str:
    """Return the document of a letter. The fragment has its template tags, or marks of them."""
    accent = frame.accent if is_accent(frame.accent) else DEFAULT_ACCENT
    logo = (
        f'<div style="padding:0 4px 16px;text-align:left"><img src="{escape(frame.logo_url)}" '
        f'alt="{escape(frame.logo_words)}" style="max-height:56px;max-width:70%;border:0"></div>\n'
        if frame.logo_url
        else ""
    )
    lines = "<br>\n".join(escape(line) for line in frame.footer.strip().splitlines())
    footer = f'<div style="padding:16px 4px 0;text-align:left;font-size:13px">{lines}</div>\n' if lines else ""
    return (
        "<!doctype html>\n<html>\n<head>\n"
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<style>\n{_SHEET}</style>\n</head>\n"
        f'<body style="margin:0;padding:24px 12px;background:#f1f3f6;color:#59636f;text-align:center;{_FONT};'
        'font-size:16px;line-height:1.55">\n'
        '<div class="ground" style="max-width:600px;margin:0 auto">\n'
        f"{logo}"
        f'<div class="sheet" style="padding:28px 32px 14px;background:#ffffff;color:{_INK};text-align:left;'
        f'border-top:4px solid {accent};border-radius:6px;overflow-wrap:break-word">\n'
        f"{_style(fragment, accent)}</div>\n{footer}</div>\n</body>\n</html>\n"
    )


def frame_text(text: str, frame: Frame) -> str:
    """Return the text of a letter with the footer below it."""
    return f"{text.rstrip()}\n\n{frame.footer.strip()}\n" if frame.footer.strip() else text


def _style(fragment: str, accent: str) -> str:
    """Give each element its style. Template tags have to be marks: a tag may hold what looks like an element."""
    link = f"color:{accent if _luminance(accent) <= LINK_LUMINANCE_MAX else _INK}"
    button = f"display:inline-block;padding:11px 22px;border-radius:6px;background:{accent};color:{_ink_on(accent)};"

    def add(found: re.Match[str]) -> str:
        name, rest = found[1], found[2]
        if name != "a":
            return f'<{name}{rest} style="{_STYLES[name]}">'
        is_button = _BUTTON_CLASS in rest
        return f'<a{rest} style="{button + "text-decoration:none" if is_button else link}">'

    return _ELEMENT.sub(add, fragment)


def _ink_on(accent: str) -> str:
    """Return white or black, whichever is easier to read on a colour."""
    return "#ffffff" if _luminance(accent) < 0.179 else "#000000"


def _luminance(accent: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    channels = [int(accent[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))
