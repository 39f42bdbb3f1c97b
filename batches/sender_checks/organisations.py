"""Which domains are one organisation's, as DMARC sees it: by the Public Suffix List. Domains enter and leave."""

from __future__ import annotations

from functools import cache

from publicsuffixlist import PublicSuffixList


def find_organisation(domain: str) -> str:
    """Return the organisational domain of a domain (RFC 7489 section 3.2), as ``example.co.uk`` of a host in it.

    A domain below which anybody can have one, such as ``github.io``, has no organisation. It is returned itself.
    """
    name = domain.lower().strip(".")
    return _suffixes().privatesuffix(name) or name


def is_aligned(domain: str, *, with_domain: str) -> bool:
    """Whether DMARC takes two domains as one organisation's (RFC 7489 section 3.1, relaxed)."""
    return bool(domain.strip(".")) and find_organisation(domain) == find_organisation(with_domain)


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()  # with the suffixes of companies: two customers of one host are not one organisation
