"""The pages for people: forms and views. A view reads the request, calls the domain once, and draws the answer.

No view has rules of its own: the domain decides what may be sent, steered or changed.
"""
