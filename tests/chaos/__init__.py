"""``make chaos``: send batches through the real stack, break something in the middle, and compare what the relay
accepted with what the table says, recipient by recipient."""
