"""A lane run: claim, make, send, judge, record. Returns why it ended; never enqueues."""
