"""What the program knows of one person: find it, hand it out, remove it. And remove what is older than it has to be.

An address enters. A report of where it is leaves, or JSON of all of it, or nothing of it is left and the counts stay.
Everything here reads the whole database, because no index holds the addresses: it is for auditors and the operator.
"""

from batches.people.erasing import Erased, ErasureRefused, PersonBusy, erase_person
from batches.people.exporting import export_person
from batches.people.purging import Purged, purge
from batches.people.searching import Findings, find_person
from batches.people.spelling import NotAnAddress, Spelling

__all__ = [
    "Erased",
    "ErasureRefused",
    "Findings",
    "NotAnAddress",
    "PersonBusy",
    "Purged",
    "Spelling",
    "erase_person",
    "export_person",
    "find_person",
    "purge",
]
