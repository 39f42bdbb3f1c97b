"""The relays: what the environment names, what a person sets in the admin, and which may carry a job's mail now.

Sends nothing and connects to no relay.
"""

from batches.relays.registry import Found, afind_routes, find_routes, relays_version, sync, wake_jobs

__all__ = ["Found", "afind_routes", "find_routes", "relays_version", "sync", "wake_jobs"]
