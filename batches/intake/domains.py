"""Count the domains of a list's addresses, to point out those that are probably misspelt. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

from batches.files.findings import Slip
from batches.files.slips import find_slip

DOMAINS_MAX = 4096
"""How many different domains are counted before the misspelt ones are picked out and the others forgotten."""

SLIPS_MAX = 50
"""How many misspelt domains of one list are kept, those with most rows."""

# Lists come from the same providers again and again. A list of companies has a new domain in every row.
_find_slip = lru_cache(maxsize=DOMAINS_MAX)(find_slip)


class DomainCounts:
    """Counts the rows of each misspelt domain, in memory that does not grow with the list."""

    def __init__(self, found: Iterable[Slip] = ()) -> None:
        """Count on from the slips that were found in earlier rows of the same list."""
        self._domains: Counter[str] = Counter()
        self._slips: Counter[str] = Counter({slip.domain: slip.count for slip in found})

    def add_plain(self, addresses: Sequence[str]) -> None:
        """Count the domains of plain addresses. Such an address has one @-sign, so a few calls are enough for all."""
        self._domains.update("@".join(addresses).split("@")[1::2])
        if len(self._domains) > DOMAINS_MAX:
            self._pick_slips()

    def add(self, address: str) -> None:
        """Count the domain of any address."""
        self._domains[address.rpartition("@")[2]] += 1

    def find_slips(self) -> list[Slip]:
        """Return the domains that are probably misspelt, those with most rows first."""
        self._pick_slips()
        return [
            Slip(domain=domain, suggestion=_find_slip(domain) or "", count=count)
            for domain, count in self._slips.most_common(SLIPS_MAX)
        ]

    def _pick_slips(self) -> None:
        self._slips.update({domain: count for domain, count in self._domains.items() if _find_slip(domain)})
        self._domains.clear()
