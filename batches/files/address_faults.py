"""Say in plain words what is wrong with a text that is no email address, and what to do. Pure.

email-validator knows all rules, but it names characters as Unicode does and says nothing of what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_AT_WORDS = re.compile(r"[(\[{]\s*(?:at|@|a|ät|arroba|arobase|chiocciola|klammeraffe)\s*[)\]}]|\s(?:at|AT)\s", re.I)
_LINE_BREAK = re.compile(r"[\n\r\u2028\u2029]")
_SPACE = re.compile(r"\s")
_RESERVED = re.compile(r"(?:^|\.)(arpa|invalid|local|localhost|onion|test)$", re.I)
LOOKS_ALIKE = re.compile(r"(?<=[a-z])[\u0370-\u03ff\u0400-\u04ff]|[\u0370-\u03ff\u0400-\u04ff](?=[a-z])", re.IGNORECASE)
"""A Greek or Cyrillic letter beside a Latin one, which it may look like. No registry sells such a domain."""

_LOCAL_SIGNS = "!#$%&'*+-/=?^_`{|}~."
_DOMAIN_SIGNS = "-."

_SIGN_NAMES = {
    ",": "a comma",
    ";": "a semicolon",
    ":": "a colon",
    '"': "a quotation mark",
    "'": "an apostrophe",
    "(": "a bracket",
    ")": "a bracket",
    "[": "a bracket",
    "]": "a bracket",
    "<": "an angle bracket",
    ">": "an angle bracket",
    "\\": "a backslash",
    "/": "a slash",
    "_": "an underscore",
}
_SIGN_NAMES |= dict.fromkeys("“”„«»", "a curly quotation mark")
_SIGN_NAMES |= dict.fromkeys("‘’‚‹›´", "a curly apostrophe")  # noqa: RUF001

LOCAL_MAX_BYTES = 64  # RFC 5321, section 4.5.3.1.1
LABEL_MAX_BYTES = 63  # RFC 1035, section 2.3.4


def explain(text: str) -> str:
    """Say what is wrong with a text that should be an address, as one or two sentences."""
    if "@" not in text:
        return _explain_no_at(text)
    if text.endswith(("...", "\u2026", "..")):
        return "The address is cut off: it ends with dots. Write the whole address."
    if _LINE_BREAK.search(text):
        return "There is a line break in the address. Keep only the address in the cell."
    if _SPACE.search(text):
        return "There is a space in the address. Remove it, and keep only the address in the cell."
    if text.count("@") > 1:
        return "The address has more than one @-sign. Keep the one that belongs there."
    local, _, domain = text.partition("@")
    if not local:
        return "There is nothing before the @-sign. Write the whole address."
    if not domain:
        return "There is nothing after the @-sign. Write the whole address."
    if match := LOOKS_ALIKE.search(text):
        script = "Greek" if match[0] < "\u0400" else "Cyrillic"
        return f"The letter {match[0]!r} in the address is {script}, among Latin letters. Type the address again."
    return _explain_local(local) or _explain_domain(domain)


def _explain_no_at(text: str) -> str:
    if _AT_WORDS.search(text):
        return "The address is written without its @-sign, so that programs can't read it. Write @ in its place."
    if text.lower().startswith("/o="):
        return "This is an address inside an Exchange server. Export the list with internet addresses (SMTP)."
    return "An email address must have an @-sign. Correct the address."


def _explain_local(local: str) -> str | None:
    if signs := _name_signs(local, is_allowed=lambda char: char in _LOCAL_SIGNS):
        return f"Before the @-sign there is {signs}, which an address can't have there. Remove it."
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return "Before the @-sign, a full stop is in the wrong place. Remove it or write what is missing."
    if len(local.encode()) > LOCAL_MAX_BYTES:
        return f"The address is too long before the @-sign. It may have at most {LOCAL_MAX_BYTES} characters there."
    return None


def _explain_domain(domain: str) -> str:
    if "," in domain:
        return "There is a comma after the @-sign. Write a full stop in its place."
    if signs := _name_signs(domain, is_allowed=lambda char: char in _DOMAIN_SIGNS):
        return f"After the @-sign there is {signs}, which an address can't have there. Remove it."
    labels = domain.split(".")
    if not all(labels):
        return "After the @-sign, a full stop is in the wrong place. Remove it or write what is missing."
    if any(label.startswith("-") or label.endswith("-") for label in labels):
        return "After the @-sign, a hyphen is in the wrong place. Remove it or write what is missing."
    if any(len(label.encode()) > LABEL_MAX_BYTES for label in labels):
        return f"After the @-sign, there are more than {LABEL_MAX_BYTES} characters without a full stop. Shorten it."
    if match := _RESERVED.search(domain):
        return f"Nobody receives email at {domain}, because the ending {match[1]!r} is reserved. Correct the address."
    if len(labels) == 1:
        return f"After the @-sign, {domain!r} has no ending such as .com. Write the whole address."
    if not labels[-1][-1:].isalpha():
        return f"The address ends with {labels[-1]!r}, which is no ending of a domain. Correct the address."
    return "After the @-sign there is no domain name. Correct the address."


def _name_signs(text: str, *, is_allowed: Callable[[str], bool]) -> str:
    """Name the characters that are neither letters nor digits nor allowed; empty if there is none."""
    bad = dict.fromkeys(char for char in text if not (char.isalnum() or is_allowed(char) or _is_mark(char)))
    return " and ".join(dict.fromkeys(map(_name_sign, bad)))


def _is_mark(char: str) -> bool:
    return not char.isascii() and ("x" + char).isidentifier()


def _name_sign(char: str) -> str:
    if char in _SIGN_NAMES:
        return f"{_SIGN_NAMES[char]} ({char})"
    return f"the sign {char}" if char.isprintable() else "a character that nobody sees"
