"""``make chaos``: send batches through the real stack while one thing is broken on purpose.

Afterwards it compares, recipient by recipient, the messages that the relay accepted with the rows of the table.
"""
