"""Find the domains that are probably misspelt. Pure."""

from __future__ import annotations


def find_slip(domain: str) -> str | None:
    """Return the domain that was probably meant, in lower case; None if nothing is wrong with this one."""
    return None
