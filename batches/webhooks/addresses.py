"""Which addresses a webhook may be posted to. An URL enters, checked IP addresses leave, or a sentence why not.

A webhook's host must not be a way into the network that this program runs in. So its name is resolved again before each
message, only public addresses are kept, and the message goes to one of exactly these: a name that resolves to another
address a moment later (DNS rebinding) gains nothing. ``WEBHOOK_PRIVATE_HOSTS`` names the hosts that are exempt.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

URL_MAX_CHARS = 1000

_TARGET = re.compile(r"[\x21-\x7e]*")
"""The characters of a path with a query. A blank or a line break would end the request's first line."""

_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # a public address at which each virtual machine of Azure finds its host
        "192.0.0.0/24",  # protocols of IETF (RFC 6890); Oracle's machines find their host there
        "192.88.99.0/24",  # relays of 6to4, which lead elsewhere (RFC 7526)
        "3fff::/20",  # documentation (RFC 9637), unknown to Python before 3.13
    )
)
"""What is not public, although Python's ipaddress says so."""

_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
"""The only range that IANA has given out for public use (RFC 4291 section 2.4). Everything new there is refused."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses as a network without IPv4 reaches them (RFC 6052 section 2.1)."""

_TUNNELS = tuple(ipaddress.ip_network(network) for network in ("2001::/23", "2002::/16"))
"""Protocols of IETF, among them Teredo and ORCHID, and 6to4: an address in them may hold a private one."""


class EndpointRefused(Exception):
    """A webhook can't be posted to its URL. The message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """An URL, taken apart for one request."""

    host: str
    """In ASCII and in lower case, without brackets and a final dot."""
    port: int
    is_tls: bool
    target: str
    """The path with the query, as the first line of the request has it."""

    @property
    def is_exempt(self) -> bool:
        """Whether ``WEBHOOK_PRIVATE_HOSTS`` names the host: then any address, and http, may be used."""
        return self.host in {_clean_host(name) for name in settings.WEBHOOK_PRIVATE_HOSTS}

    @property
    def authority(self) -> str:
        """The host, and the port if it is not the usual one: the value of the header Host (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


def read_url(url: str) -> Endpoint:
    """Take an URL apart. Looks nothing up.

    Raises:
        EndpointRefused: It is no URL that a webhook may have.
    """
    try:
        parts = urlsplit(url)
        host, port = _clean_host(parts.hostname or ""), parts.port
    except ValueError:  # for example a port of letters
        raise EndpointRefused("This is no address. Write one such as https://hooks.example.org/emailbatch.") from None
    if parts.scheme not in ("http", "https") or not host or len(url) > URL_MAX_CHARS:
        raise EndpointRefused("This is no address. Write one such as https://hooks.example.org/emailbatch.")
    if parts.username is not None or parts.password is not None:
        raise EndpointRefused("Remove the user and the password from the address. The signature proves who posts.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.fullmatch(target):
        raise EndpointRefused("The address has characters that no address has. Write them as %20 and the like.")
    is_tls = parts.scheme == "https"
    endpoint = Endpoint(host=host, port=port or (443 if is_tls else 80), is_tls=is_tls, target=target)
    if not is_tls and not endpoint.is_exempt:
        raise EndpointRefused(
            "Events contain addresses of people, so only https is used. Write https, or name the host in "
            "WEBHOOK_PRIVATE_HOSTS if nobody else is on the way."
        )
    return endpoint


def _clean_host(host: str) -> str:
    """Return a host as the DNS compares it: in ASCII (IDNA), in lower case, without the final dot and brackets."""
    host = host.strip().rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:  # empty or too long labels
        return ""


def find_exemption_fault(name: str) -> str | None:
    """Return what is wrong with an entry of ``WEBHOOK_PRIVATE_HOSTS``, or None. A wrong one would exempt nothing."""
    host = _clean_host(name)
    if host and not re.search(r"[/@*:\s]", host.replace(":", "") if _is_ip(host) else host):
        return None
    return (
        f"WEBHOOK_PRIVATE_HOSTS names {name!r}, which is no host. Write one alone, such as hooks.internal or 10.0.0.7."
    )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def resolve(endpoint: Endpoint) -> list[IpAddress]:
    """Resolve the host and return the addresses that may be connected to, the preferred one first.

    This blocks for as long as the resolver takes: call it in a thread.

    Raises:
        EndpointRefused: The host has no such address.
    """
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise EndpointRefused(f"The host {endpoint.host} was not found: {exc}. Check the address.") from exc
    # The zone of an IPv6 address (fe80::1%eth0) is left out. Such an address is link-local, so it is refused anyway,
    # unless the host is exempt.
    addresses = list(dict.fromkeys(ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found))
    return addresses if endpoint.is_exempt else keep_public(addresses, host=endpoint.host)


def keep_public(addresses: Iterable[IpAddress], *, host: str) -> list[IpAddress]:
    """Return the public ones of some addresses.

    Raises:
        EndpointRefused: There is none.
    """
    public = [address for address in addresses if is_public(address)]
    if not public:
        raise EndpointRefused(
            f"The host {host} has no public address, so nothing is posted to it. If it is yours, name it in "
            "WEBHOOK_PRIVATE_HOSTS."
        )
    return public


def is_public(address: IpAddress) -> bool:
    """Whether an address is of the public Internet: not private, loopback, link-local, multicast, or reserved.

    An IPv6 address that holds an IPv4 address counts as that one, if it is public (RFC 4291 section 2.5.5.2, RFC 6052);
    in a form that leads through a tunnel, it is refused.
    """
    if any(address.version == network.version and address in network for network in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    is_tunnel = any(address in network for network in _TUNNELS)
    return address in _PUBLIC_V6 and address.is_global and not is_tunnel
