"""Limits and grace periods that several rooms, or the code and the deployment, share. This module imports nothing.

A limit that only one module uses stays in that module.
"""

STOP_GRACE_SECONDS = 300
"""How long a worker or the web process may take to stop before it is killed.

A worker that is asked to stop waits for the relay's replies to the messages in flight (decision 12). If it is killed
before the replies arrive, up to ``SEND_WINDOW`` messages may be sent twice. Most relays reply within a second, so a
worker seldom needs the whole time. RFC 5321 section 4.5.3.2 allows a relay 600 s; no operator waits that long.

``make up`` reads this number. compose.yaml (``stop_grace_period``) and the systemd units in docs/operations.md
(``TimeoutStopSec``) repeat it, and tests/unit/test_limits.py compares them.
"""

HEARTBEAT_SECONDS = 15.0
"""How long a watcher waits for a new snapshot before it acts without one.

An event stream then sends a comment. A websocket then checks its subscription again, and daphne sends the pings. The
number is below the idle timeout of common proxies, 30 to 60 s, and docs/operations.md tells it to operators.
"""
