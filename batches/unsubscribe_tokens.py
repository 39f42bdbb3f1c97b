"""The unsubscribe token: what the link ``/u/TOKEN`` in a mail says about who unsubscribes from which Topic.

A topic's id and the digest of an address enter. A text of 44 characters leaves, and can be read again years later: it
needs no row of the Email or the Batch. It is signed, so nobody can unsubscribe somebody else. Pure: it knows no table.

The token is base64url (RFC 4648, section 5) of 33 octets, so without padding: 4 of the topic's id, 16 of the digest, 13
of a keyed BLAKE2s (RFC 7693) over both. It holds nothing that is made of the address alone, so a stranger who has a
token can't test whether it belongs to an address that he guesses: the digest is keyed too.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest

from django.conf import settings

TOKEN_CHARS = 44
DIGEST_BYTES = 16
PREVIEW_TOKEN = "preview"  # noqa: S105  (it stands for a token, and opens nothing)
"""What the links in a preview have in place of a token."""

_PUBLIC_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]*)?")
"""What can be in a header field and in HTML as it is. A name with other letters is written in punycode."""

_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_TOPIC_BYTES = 4
_TAG_BYTES = 13


@dataclass(frozen=True, kw_only=True, slots=True)
class UnsubscribeToken:
    """What a token says. Nobody but a holder of a key of UNSUBSCRIBE_KEYS can have made it."""

    topic_id: int
    digest: bytes
    """The digest of the address: see ``suppressions.find_digest``."""


class TokenWriter:
    """Makes the tokens of one topic with the newest key."""

    def __init__(self, *, topic_id: int, keys: Sequence[str]) -> None:
        self._topic = topic_id.to_bytes(_TOPIC_BYTES, "big")
        self._hash = _keyed_hash(keys[0])
        self._hash.update(self._topic)

    def write(self, digest: bytes) -> bytes:
        """Return the token of an address: 44 octets of ASCII. It is made for each mail, so it is worth a fast way."""
        tag = self._hash.copy()
        tag.update(digest)
        return b2a_base64(self._topic + digest + tag.digest(), newline=False).translate(_TO_URL_SAFE)


def make_token(topic_id: int, digest: bytes, *, keys: Sequence[str] | None = None) -> str:
    """Return the token of an address and a topic, signed with the newest key.

    Args:
        digest: 16 octets.
        keys: The newest first. None: UNSUBSCRIBE_KEYS.
    """
    return TokenWriter(topic_id=topic_id, keys=_or_settings(keys)).write(digest).decode()


def read_token(text: str, *, keys: Sequence[str] | None = None) -> UnsubscribeToken | None:
    """Return what a token says, whichever of the keys it was signed with. None: it is none of ours, or was changed."""
    if len(text) != TOKEN_CHARS or not text.isascii():
        return None
    octets = text.encode()
    try:
        signed = urlsafe_b64decode(octets)
    except ValueError:
        return None
    # The decoder skips signs that are not of the alphabet. Only one text stands for each token.
    if urlsafe_b64encode(signed) != octets:
        return None
    content, tag = signed[:-_TAG_BYTES], signed[-_TAG_BYTES:]
    if not any(compare_digest(_make_tag(key, content), tag) for key in _or_settings(keys)):
        return None
    return UnsubscribeToken(topic_id=int.from_bytes(content[:_TOPIC_BYTES], "big"), digest=content[_TOPIC_BYTES:])


def make_url(token: str) -> str:
    """Return the link that a mail shows."""
    return f"{settings.PUBLIC_URL}/u/{token}"


def is_ready() -> str | None:
    """Return a sentence that says why no news can be sent from here, and what to do. None: it can."""
    if not _PUBLIC_URL.fullmatch(settings.PUBLIC_URL):
        return (
            "News needs a link with which its recipients unsubscribe. "
            "Set PUBLIC_URL to the address of this site, such as https://mail.example.org."
        )
    if not settings.UNSUBSCRIBE_KEYS:
        return (
            "News needs a link with which its recipients unsubscribe. "
            "Set UNSUBSCRIBE_KEYS to a long random text, the same for the web process and all workers."
        )
    return None


def _or_settings(keys: Sequence[str] | None) -> Sequence[str]:
    return settings.UNSUBSCRIBE_KEYS if keys is None else keys


def _make_tag(key: str, content: bytes) -> bytes:
    tag = _keyed_hash(key)
    tag.update(content)
    return tag.digest()


def _keyed_hash(key: str) -> hashlib.blake2s:
    """Begin the hash of a tag. The key is its beginning, as in ``return_paths``: all of it fits into one block."""
    derived = hashlib.sha256(b"unsubscribe:" + key.encode()).digest()
    return hashlib.blake2s(derived, digest_size=_TAG_BYTES, person=b"unsubscr")
