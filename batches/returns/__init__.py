"""What comes back after a relay has taken a message: it is read, matched with its email, and recorded once."""
