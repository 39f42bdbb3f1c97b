"""Check one sender: look up what is published, and read the last round trip."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from batches.models import RoundTrip, Sender
from batches.relays.registry import read_address, relay_urls
from batches.sender_checks.arrived import check_header, find_own, parse_header, read_signatures
from batches.sender_checks.dns_reader import DnsReader
from batches.sender_checks.items import CheckItem, Light
from batches.sender_checks.published import check_dkim, check_dmarc, check_mx
from batches.sender_checks.round_trips import find_expected, find_last, say_way
from batches.sender_checks.spf import check_spf
from batches.smtp.relay import RelayAddress, RelayUrlError

PROVIDERS = {
    "office365.com": "include:spf.protection.outlook.com",
    "outlook.com": "include:spf.protection.outlook.com",
    "google.com": "include:_spf.google.com",
    "gmail.com": "include:_spf.google.com",
    "amazonaws.com": "include:amazonses.com",
}
"""What the SPF record has for the relays of a provider, by the end of their names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderCheck:
    """What came out of a sender check."""

    published: list[CheckItem]
    """What DNS says."""
    arrived: list[CheckItem]
    """What the last round trip shows. Empty if none has arrived."""
    round_trip: RoundTrip | None
    waits: str
    """Where a round trip is that has not arrived, in a sentence."""

    @property
    def items(self) -> list[CheckItem]:
        return [*self.published, *self.arrived]

    @property
    def light(self) -> Light:
        """The worst of all items. Grey only if nothing is known."""
        lights = {item.light for item in self.items}
        return next((each for each in (Light.RED, Light.AMBER, Light.GREEN) if each in lights), Light.GREY)

    @property
    def is_green(self) -> bool:
        return self.light is Light.GREEN


def check_sender(sender: Sender, *, selector: str = "", reader: DnsReader | None = None) -> SenderCheck:
    """Check a sender. Looks into DNS, for 15 seconds at most, so call it in no transaction.

    Args:
        selector: Of the DKIM key. Empty: that of the last round trip.
    """
    reader = reader or DnsReader()
    trip = find_last(sender)
    domain = sender.mailbox.domain.lower()
    return SenderCheck(
        published=_check_published(reader, domain, trip=trip, selector=selector),
        arrived=_check_arrived(trip),
        round_trip=trip,
        waits=say_way(trip) if trip is not None and trip.arrived_at is None else "",
    )


def _check_published(reader: DnsReader, domain: str, *, trip: RoundTrip | None, selector: str) -> list[CheckItem]:
    return_domain = settings.BOUNCE_ADDRESS.rpartition("@")[2].lower() or domain
    key_domain = domain
    own = find_own(read_signatures(parse_header(trip.header)), domain) if trip is not None else None
    if own is not None and selector in ("", own.selector):
        key_domain, selector = own.domain, own.selector
    items = [
        check_spf(reader, return_domain, wanted=find_wanted()),
        check_dkim(reader, key_domain, selector=selector),
        check_dmarc(reader, domain, return_domain=return_domain),
        check_mx(reader, return_domain, purpose="what comes back"),
    ]
    if return_domain != domain:
        items.append(check_mx(reader, domain, purpose="what people answer"))
    return items


def _check_arrived(trip: RoundTrip | None) -> list[CheckItem]:
    if trip is None or trip.arrived_at is None:
        return []
    expected = find_expected(trip)
    return check_header(trip.header, expected) if expected is not None else []


def find_wanted() -> str:
    """Return what the SPF record should name: the servers of all relays."""
    wanted = dict.fromkeys(_name_relay(name) for name in relay_urls())
    return " ".join(wanted)


def _name_relay(name: str) -> str:
    try:
        address = read_address(name)
    except RelayUrlError:
        return "ADDRESS-OF-THE-MAIL-SERVER"
    if not isinstance(address, RelayAddress) or not address.host or address.is_near:
        return "ip4:ADDRESS-OF-THE-MAIL-SERVER"
    host = address.host.lower()
    provider = next((PROVIDERS[end] for end in PROVIDERS if host == end or host.endswith(f".{end}")), "")
    return provider or f"a:{host}"
