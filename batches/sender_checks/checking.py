"""Check one sender: look up what is published, and read the last round trip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from batches.delivery.spec import RouteSpec
from batches.models import RoundTrip, Sender
from batches.relays.registry import find_routes
from batches.sender_checks.arrived import check_header, find_own, parse_header, read_signatures
from batches.sender_checks.dns_reader import DnsReader
from batches.sender_checks.items import CheckItem, Light
from batches.sender_checks.published import check_dkim, check_dmarc, check_mx
from batches.sender_checks.round_trips import find_expected, find_last, say_way
from batches.sender_checks.spf import check_spf
from batches.smtp.backend import Backend
from batches.smtp.relay import RelayAddress

PROVIDERS = {
    "office365.com": "include:spf.protection.outlook.com",
    "outlook.com": "include:spf.protection.outlook.com",
    "google.com": "include:_spf.google.com",
    "gmail.com": "include:_spf.google.com",
    "amazonaws.com": "include:amazonses.com",
}
"""What the SPF record has for the relays of a provider, by the end of their names."""

UNKNOWN_SERVER = "ip4:ADDRESS-OF-THE-MAIL-SERVER"


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
    trip = find_last(sender)
    return SenderCheck(
        published=_check_published(reader or DnsReader(), sender, trip=trip, selector=selector),
        arrived=_check_arrived(trip),
        round_trip=trip,
        waits=say_way(trip) if trip is not None and trip.arrived_at is None else "",
    )


def _check_published(reader: DnsReader, sender: Sender, *, trip: RoundTrip | None, selector: str) -> list[CheckItem]:
    domain = key_domain = sender.mailbox.domain.lower()
    return_domain = settings.BOUNCE_ADDRESS.rpartition("@")[2].lower() or domain
    routes = find_routes(sender_id=sender.pk).routes
    own = find_own(read_signatures(parse_header(trip.header)), domain) if trip is not None else None
    if own is not None and selector in ("", own.selector):
        key_domain, selector = own.domain, own.selector
    # A relay that takes no return path of ours gets the sender's address in MAIL FROM.
    mail_from = dict.fromkeys(return_domain if route.takes_return_paths else domain for route in routes)
    items = [
        *(check_spf(reader, each, wanted=find_wanted(routes)) for each in mail_from or [return_domain]),
        check_dkim(reader, key_domain, selector=selector),
        check_dmarc(
            reader,
            domain,
            return_domain=next((each for each in mail_from if each != domain), domain),
            key_domain=own.domain if own is not None else "",
        ),
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


def find_wanted(routes: Iterable[RouteSpec]) -> str:
    """Return what the SPF record should name: the relays that may carry the sender's mail."""
    return " ".join(dict.fromkeys(_name_relay(route.address) for route in routes)) or UNKNOWN_SERVER


def _name_relay(address: RelayAddress | Backend) -> str:
    if not isinstance(address, RelayAddress) or not address.host or address.is_near:
        return UNKNOWN_SERVER
    host = address.host.lower()
    provider = next((PROVIDERS[end] for end in PROVIDERS if host == end or host.endswith(f".{end}")), "")
    return provider or f"a:{host}"
