"""Every fault, by name."""

from tests.chaos.faults import exim, intake, processes, relay, relays, stores, suppressions
from tests.chaos.trial import Fault

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for module in (processes, suppressions, intake, stores, relay, relays, exim)
    for fault in module.FAULTS
}

KILLS = ("kill-horse", "kill-worker", "kill-group", "kill-horse-hold", "kill-worker-hold", "kill-group-hold")
"""The faults that ``--kills`` repeats."""
