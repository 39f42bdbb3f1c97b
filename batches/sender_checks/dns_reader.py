"""Look up records in DNS. A name enters; texts leave, or DnsUnavailable where nobody can know.

A name that does not exist has no records: that is an answer. Only this module knows dnspython.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from ipaddress import ip_address

import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
from django.conf import settings

QUERY_SECONDS = 3.0
"""How long one question may take. A resolver that is up answers within one second."""

TOTAL_SECONDS = 15.0
"""How long one reader looks up, so that a page comes in time whatever the name servers do."""

DNS_PORT = 53

NO_NAMES = (
    dns.name.LabelTooLong,
    dns.name.NameTooLong,
    dns.name.EmptyLabel,
    dns.name.BadEscape,
    dns.name.IDNAException,
)
"""What dnspython says of a name that nobody can have, as an SPF record may include one."""


class DnsUnavailable(Exception):
    """A name server did not answer, or could not. The message is a sentence for a person."""


class DnsReader:
    """Looks up records for one sender check. It answers the same question once.

    Args:
        servers: ``ADDRESS`` or ``ADDRESS:PORT`` each. None: those of the setting DNS_SERVERS, or of this machine.
    """

    def __init__(self, servers: Sequence[str] | None = None) -> None:
        self._deadline = time.monotonic() + TOTAL_SECONDS
        self._answers: dict[tuple[str, str], list[str]] = {}
        self._resolver, self._fault = _make_resolver(settings.DNS_SERVERS if servers is None else servers)

    def read_txt(self, name: str) -> list[str]:
        """Return the TXT records of a name, each with its strings joined (RFC 7208 section 3.3)."""
        return self._ask(name, "TXT")

    def read_mx(self, name: str) -> list[str]:
        """Return the hosts of the MX records of a name, the preferred first. ``.`` is the null MX (RFC 7505)."""
        return self._ask(name, "MX")

    def read_addresses(self, name: str) -> list[str]:
        """Return the IP addresses of a name."""
        return [*self._ask(name, "A"), *self._ask(name, "AAAA")]

    def _ask(self, name: str, kind: str) -> list[str]:
        key = (name.lower().rstrip("."), kind)
        if key not in self._answers:
            self._answers[key] = self._look_up(*key)
        return self._answers[key]

    def _look_up(self, name: str, kind: str) -> list[str]:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DnsUnavailable(f"DNS took too long, so {name} was not looked up. Try again in a minute.")
        if self._resolver is None:
            raise DnsUnavailable(self._fault)
        try:
            answer = self._resolver.resolve(
                f"{name}.", kind, lifetime=min(QUERY_SECONDS, left), raise_on_no_answer=False, search=False
            )
        except dns.resolver.NXDOMAIN:
            return []
        except NO_NAMES:
            return []
        except dns.exception.DNSException as exc:
            raise DnsUnavailable(
                f"The name servers gave no answer about {name} ({type(exc).__name__}). "
                "Try again in a minute; if that stays so, look at the name servers of the domain."
            ) from exc
        return _read_answer(answer, kind)


def _make_resolver(servers: Sequence[str]) -> tuple[dns.resolver.Resolver | None, str]:
    """Return a resolver, or None and a sentence that says why there is none."""
    if not servers:
        try:
            return dns.resolver.Resolver(), ""
        except dns.resolver.NoResolverConfiguration:
            return None, "This machine names no name server. Set DNS_SERVERS to the address of one."
    resolver = dns.resolver.Resolver(configure=False)
    try:
        resolver.nameservers = [_read_server(server.strip()) for server in servers]
    except ValueError:
        return None, "DNS_SERVERS can't be read. Set it to IP addresses, such as 192.0.2.1 or 192.0.2.1:5353."
    return resolver, ""


def _read_server(server: str) -> dns.nameserver.Nameserver:
    """Read ``192.0.2.1``, ``192.0.2.1:5353``, ``2001:db8::1`` or ``[2001:db8::1]:5353``."""
    host, colon, port = server.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        host, port = server, str(DNS_PORT)
    if not 0 < int(port) < 65_536:
        raise ValueError(port)
    return dns.nameserver.Do53Nameserver(str(ip_address(host.strip("[]"))), int(port))


def _read_answer(answer: dns.resolver.Answer, kind: str) -> list[str]:
    records = list(answer.rrset or [])
    if kind == "TXT":
        return [b"".join(record.strings).decode("utf-8", "replace") for record in records]
    if kind == "MX":
        ordered = sorted(records, key=lambda record: record.preference)
        return [record.exchange.to_text(omit_final_dot=True) or "." for record in ordered]
    return [record.address for record in records]
