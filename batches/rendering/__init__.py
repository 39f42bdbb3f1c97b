"""Templates and merge fields enter, the octets of a message leave. No models, no network."""
