"""A recording SMTP server that can misbehave: the tests' witness of the messages that a relay really accepted.

``Listener`` runs in the event loop of a test, ``RunningServer`` in a process of its own, and
``python -m tests.smtpserver --port 2525 --record FILE`` from a shell.
"""

from tests.smtpserver.behaviour import Behaviour, Rule
from tests.smtpserver.listener import Listener, Stats
from tests.smtpserver.record import Accepted, read_record
from tests.smtpserver.running import RunningServer

__all__ = ["Accepted", "Behaviour", "Listener", "Rule", "RunningServer", "Stats", "read_record"]
