"""Compare names as people write them: headings of lists and fields of templates. Pure."""

from __future__ import annotations

import unicodedata


def remove_accents(text: str) -> str:
    """Return a text without case, accents and the widths of letters (Unicode NFKD)."""
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char)).casefold()


def make_key(name: str) -> str:
    """Return the letters and digits of a name, of every script, without case and accents.

    Headings with one key are the same heading, and a template's field and a list's column with one key match.
    """
    return "".join(char for char in remove_accents(name) if char.isalnum())
