"""Hand messages to the relay, and say what it answered. Knows no models."""
