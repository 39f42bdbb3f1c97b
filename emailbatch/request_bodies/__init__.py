"""Carries request and response bodies of any size: refuses one that is too large early, and holds none in memory.

``daphne_request`` changes how daphne reads and writes a body. ``body_handler`` is Django's ASGI handler, which takes
the body from there. ``refusal`` has the size limit, and the answer to a body that is larger.
"""
