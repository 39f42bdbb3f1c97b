"""Write the header fields of news with which its recipients unsubscribe, and the link that its bodies show. Pure.

What a site and a topic have in common enters once for each job. Fields with a gap for the recipient's token leave: the
token has a fixed width, so each message of a job has the same layout (decision 13).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

MAILTO_START = "unsubscribe+"
"""The local part of the address to which a mail program writes, before the token."""

_DOMAIN = re.compile(r"[A-Za-z0-9.-]+")


WriteToken = Callable[[str, bytes | None], bytes]


class NewsFields:
    """The fields List-Unsubscribe, List-Unsubscribe-Post and List-Id of one job (RFC 2369, RFC 8058, RFC 2919).

    Args:
        topic_key: The key of the topic.
        public_url: The address of this site: PUBLIC_URL.
        write_token: From the address of a recipient to its token: 44 octets. The digest of the address spares its
            computation.
        bounce_address: BOUNCE_ADDRESS. Without it, no mail is read, so no address is offered to write to.
    """

    def __init__(self, *, topic_key: str, public_url: str, write_token: WriteToken, bounce_address: str = "") -> None:
        self.write_token = write_token
        self.url_start = f"{public_url}/u/"
        self._before = f"\r\nList-Unsubscribe: <{self.url_start}".encode()
        domain = bounce_address.rpartition("@")[2]
        has_mailto = bool(bounce_address and _DOMAIN.fullmatch(domain))
        self._between = f">,\r\n <mailto:{MAILTO_START}".encode() if has_mailto else b""
        mailto_end = f"@{domain}" if has_mailto else ""
        # The host may be an IPv6 address, which no List-Id can have.
        host = urlsplit(public_url).hostname or ""
        list_id = f"{topic_key}.{host if _DOMAIN.fullmatch(host) else 'localhost'}"
        self._after = (
            f"{mailto_end}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nList-Id: <{list_id}>"
        ).encode()

    def link(self, token: bytes) -> str:
        """Return the link of a recipient."""
        return self.url_start + token.decode()

    def fields(self, token: bytes) -> bytes:
        """Return the fields, each after a CRLF."""
        if self._between:
            return b"".join((self._before, token, self._between, token, self._after))
        return b"".join((self._before, token, self._after))
