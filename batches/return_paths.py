"""The return path of each message: an address of its own in MAIL FROM, to which a bounce comes (VERP).

The id of an email and its address enter, and the return path leaves: ``bounce+1f4a.0123456789ab@news.example.org``. It
holds the id in hexadecimal, and a tag: a keyed hash (BLAKE2s, RFC 7693) of the id and the address. So nobody can make a
return path for another email. And a report that comes after the purge of the email proves the address that it names.

Nothing here knows of tables. ``returns.matching`` reads the key.
"""

from __future__ import annotations

import hmac
import re
from functools import lru_cache
from hashlib import blake2b, blake2s
from typing import NamedTuple

TAG_BYTES = 6
"""48 bits: who guesses would need a mail for each guess."""

ADDED_MAX_CHARS = 1 + 16 + 1 + 2 * TAG_BYTES
"""How many characters are added to the local part, which may have 64 (RFC 5321 section 4.5.3.1.1)."""

LOCAL_MAX_CHARS = 64 - ADDED_MAX_CHARS
"""The longest local part that BOUNCE_ADDRESS may have."""


_ADDRESS = re.compile(r"[\w!#$%&'*/=?^`{|}~+-]+(?:\.[\w!#$%&'*/=?^`{|}~+-]+)*@(?:[a-z0-9-]+\.)+[a-z0-9-]+", re.A | re.I)


def find_address_fault(bounce_address: str) -> str | None:
    """Return why BOUNCE_ADDRESS cannot be one, in a sentence; None if it can."""
    if not bounce_address:
        return None
    if not _ADDRESS.fullmatch(bounce_address):
        return (
            f"BOUNCE_ADDRESS {bounce_address!r} is not an address. Write one without a name, as "
            "bounce@news.example.org, with a domain in punycode if it has other letters."
        )
    if len(bounce_address.rpartition("@")[0]) > LOCAL_MAX_CHARS:
        return (
            f"BOUNCE_ADDRESS has more than {LOCAL_MAX_CHARS} characters before the @-sign, so there is no room for "
            "what names the message. Choose a shorter one, as bounce@news.example.org."
        )
    return None


class ReturnPath(NamedTuple):
    """A return path as it was read. Its tag is to be checked: ``is_genuine``."""

    email_id: int
    tag: str


def derive_key(list_key: bytes) -> bytes:
    """Derive the key of the tags from the random key of the suppression list, which no SECRET_KEY changes."""
    return blake2b(b"return-path", key=list_key[:64], digest_size=32).digest()


class ReturnPathMaker:
    """Makes the return paths of one site."""

    __slots__ = ("_format", "_hash")

    def __init__(self, bounce_address: str, *, key: bytes) -> None:
        local, _, domain = bounce_address.replace("%", "%%").encode().rpartition(b"@")
        self._format = local + b"+%b%b@" + domain
        self._hash = _begin_hash(key)

    def make(self, email_id: int, address: str) -> str:
        """Return the return path of an email. It is the same for each attempt and each job."""
        return self.write(email_id, address).decode()

    def write(self, email_id: int, address: str) -> bytes:
        """Return it as octets. It is made for each mail, so it is worth a fast way."""
        start = b"%x." % email_id
        tag = self._hash.copy()
        tag.update(start + address.lower().encode())
        return self._format % (start, tag.hexdigest().encode())


def _begin_hash(key: bytes) -> blake2s:
    """Begin the hash of a tag. The key is its beginning, which BLAKE2 allows: it has no length extension.

    The key parameter of BLAKE2 would fill a block of its own, and each message would pay for it.
    """
    return blake2s(key, digest_size=TAG_BYTES, person=b"mailfrom")


def read_return_path(text: str, *, bounce_address: str) -> ReturnPath | None:
    """Read a return path that ``ReturnPathMaker`` may have made. None: it has not this form.

    The case of the letters may have changed on the way, and another server may have put something with an equals sign
    before it (BATV, SRS).
    """
    if not bounce_address or len(text) > 320:
        return None
    found = _pattern(bounce_address).search(text.strip().strip("<>"))
    return ReturnPath(int(found[1], 16), found[2].lower()) if found else None


def is_return_path_like(text: str, *, bounce_address: str) -> bool:
    """Whether an address is BOUNCE_ADDRESS with something after a plus sign: a return path, made here or forged."""
    local, _, domain = bounce_address.lower().rpartition("@")
    asked_local, _, asked_domain = text.strip().strip("<>").lower().rpartition("@")
    return bool(local) and asked_domain == domain and f"={asked_local}".rfind(f"={local}+") >= 0


def is_genuine(path: ReturnPath, *, address: str, key: bytes) -> bool:
    """Whether we made a return path for the email with this address. In constant time."""
    tag = _begin_hash(key)
    tag.update(b"%x.%b" % (path.email_id, address.lower().encode()))
    return hmac.compare_digest(tag.hexdigest(), path.tag)


@lru_cache(maxsize=8)
def _pattern(bounce_address: str) -> re.Pattern[str]:
    local, _, domain = bounce_address.rpartition("@")
    # 15 digits: a bigint that is positive.
    return re.compile(
        rf"(?:^|=){re.escape(local)}\+([0-9a-f]{{1,15}})\.([0-9a-f]{{{2 * TAG_BYTES}}})@{re.escape(domain)}$",
        re.IGNORECASE,
    )
