"""Carries request and response bodies of any size, and guards what comes in before anybody is known.

``admission`` says how large a body may be and who may send it. ``places`` counts the bodies at once. ``daphne_request``
changes how daphne reads and writes a body. ``body_handler`` is Django's ASGI handler, which takes the body from there.
``refusal`` writes the answer to a body that is refused. ``daphne_socket`` ends a websocket whose client sends data.
"""
