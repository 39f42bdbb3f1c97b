"""Templates and merge fields in, bytes of a message out. Pure: no models, no network."""
