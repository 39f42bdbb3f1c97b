"""A recording, misbehaving SMTP server of our own: the witness of what was really accepted.

``Listener`` runs in a test's own event loop; ``RunningServer`` in a process of its own; and
``python -m tests.smtpserver --port 2525 --record FILE`` by hand.
"""

from tests.smtpserver.behaviour import Behaviour, Rule
from tests.smtpserver.listener import Listener, Stats
from tests.smtpserver.record import Accepted, read_record
from tests.smtpserver.running import RunningServer

__all__ = ["Accepted", "Behaviour", "Listener", "Rule", "RunningServer", "Stats", "read_record"]
