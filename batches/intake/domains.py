"""Count the rows of domains that are probably misspelt. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from batches.files.findings import Slip
from batches.files.slips import find_slip

KNOWN_MAX = 10_000
"""How many domains are remembered. A list of companies has a new domain in every row."""

SLIPS_MAX = 50
"""How many misspelt domains of one list are kept, those with most rows."""


class DomainCheck:
    """Looks at the domain of every address, in memory that does not grow with the list."""

    def __init__(self, found: Iterable[Slip] = ()) -> None:
        """Count on from the slips that were found in earlier rows of the same list."""
        self._known: set[str] = set()
        found = list(found)
        self._suggestions = {slip.domain: slip.suggestion for slip in found}
        self._counts = Counter({slip.domain: slip.count for slip in found})

    def check_plain(self, addresses: Sequence[str]) -> None:
        """Check the domains of plain addresses. Such an address has one @-sign, so a few calls are enough for all."""
        domains = "@".join(addresses).split("@")[1::2]
        if not self._known.issuperset(domains):
            self._check(set(domains) - self._known, domains)

    def check(self, address: str) -> None:
        """Check the domain of any address."""
        domain = address.rpartition("@")[2]
        if domain not in self._known:
            self._check({domain}, [domain])

    def list_slips(self) -> list[Slip]:
        """Return the domains that are probably misspelt, those with most rows first."""
        return [
            Slip(domain=domain, suggestion=self._suggestions[domain], count=count)
            for domain, count in self._counts.most_common(SLIPS_MAX)
        ]

    def _check(self, new: set[str], domains: Sequence[str]) -> None:
        """Check the domains that are not known to be right, and count those that are probably misspelt."""
        slips = set()
        for domain in new:
            if domain not in self._suggestions and (suggestion := find_slip(domain)):
                self._suggestions[domain] = suggestion
            if domain in self._suggestions:
                slips.add(domain)
        if slips:
            self._counts.update(domain for domain in domains if domain in slips)
        if len(self._known) + len(new) > KNOWN_MAX:
            self._known.clear()
        self._known |= new - slips
