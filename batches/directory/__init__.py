"""The directory: which people got mail of which batches, so that a search finds them by name or address.

The rows of sent batches enter, some thousand at a time, in a worker and never in the send path. What a search finds
leaves: people, and rows of a batch. The emails stay the truth. Whatever removes an address from them removes it here.
"""

from batches.directory.finding import (
    FoundPerson,
    PersonPage,
    find_people,
    find_person,
    find_person_of,
    find_row,
    read_mails,
    search_rows,
    sift,
)
from batches.directory.listing import list_some, unlist_batches, unlist_person, unlist_rows
from batches.directory.matching import WALK_ROWS

__all__ = [
    "WALK_ROWS",
    "FoundPerson",
    "PersonPage",
    "find_people",
    "find_person",
    "find_person_of",
    "find_row",
    "list_some",
    "read_mails",
    "search_rows",
    "sift",
    "unlist_batches",
    "unlist_person",
    "unlist_rows",
]
