"""Remove addresses and tokens from a text that is written down for operators: a log line, a name in the audit.

Log lines, file names and paths of requests enter. The same texts leave, with a word in place of each address and token.
It is a net below the code, which names users and batches by their ids. It knows addresses and tokens by their form, so
it can't find a subject or the value of a merge field: no code may log those.
"""

from __future__ import annotations

import re

ADDRESS = "<address>"
TOKEN = "<token>"  # noqa: S105  (what a reader sees in place of one)

_ADDRESSES = re.compile(
    r"""
    (?:
        "(?:[^"\\\n]|\\.){1,64}"          # a quoted local part (RFC 5321 section 4.1.2)
      | [^\s<>"'`(),;:=\[\]{}/\\|&?@%]    # or a run without what separates words in a line, a path or a query
        [^\s<>"(),;:=\[\]{}/\\|&?@]{0,255}
    )
    (?:@|%40)                             # a path may have it percent-encoded
    (?:
        \[[^\]\s]{1,64}\]                 # an address literal, as in ann@[192.0.2.1]
      | [^\s<>"'`(),;:=\[\]{}/\\|&?@%]{1,255}
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TOKENS = re.compile(r"(?<![\w-])[\w-]{43,44}(?![\w=-])", re.ASCII)
"""An API token, 32 random octets in base64url without padding, or an unsubscribe token, which has 33 octets.

A SHA-256 in hex has 64 characters, a UUID 36.
"""
_LINKS = re.compile(r"(/u/)[^\s\"'<>?#/]+")
"""What follows in an unsubscribe link, also if the token was cut."""
_WEB_TOKENS = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*", re.ASCII)
"""A JSON Web Token (RFC 7519), such as the ID token of a provider: its header begins with ``{"``."""
_BEARER = re.compile(r"(\bBearer\s+)[^\s'\",]+", re.IGNORECASE)


def redact(text: str) -> str:
    """Return a text with ``<address>`` and ``<token>`` in the places of addresses and tokens."""
    if "@" in text or "%40" in text:
        text = _ADDRESSES.sub(ADDRESS, text)
    if "earer" in text.lower():
        text = _BEARER.sub(rf"\g<1>{TOKEN}", text)
    if "eyJ" in text:
        text = _WEB_TOKENS.sub(TOKEN, text)
    if "/u/" in text:
        text = _LINKS.sub(rf"\g<1>{TOKEN}", text)
    return _TOKENS.sub(TOKEN, text)
