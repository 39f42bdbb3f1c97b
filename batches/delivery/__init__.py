"""A lane: claim, render, hand to the relay, record. Returns outcomes; never enqueues."""
