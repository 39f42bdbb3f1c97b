"""Is a Sender set up right? A Sender enters, and check items leave: what receivers ask for, and whether it is there.

``published`` looks into DNS. ``round_trips`` sends a message to the return mailbox, and ``arrived`` reads the header
with which it came there. Nothing here changes a Sender.
"""

from batches.sender_checks.checking import SenderCheck, check_sender
from batches.sender_checks.items import CheckItem, Light
from batches.sender_checks.round_trips import find_last, start_round_trip, why_not

__all__ = ["CheckItem", "Light", "SenderCheck", "check_sender", "find_last", "start_round_trip", "why_not"]
