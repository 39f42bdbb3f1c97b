"""Every page in every state, once: for the checks with axe, for those of widths, and for ``make screenshots``.

``texts`` has the words of the data, ``world`` makes the states, ``pages`` lists the pages, and ``tour`` opens them. Who
adds a page or a state adds a line to ``pages``, and, if it needs data, a part of ``world``.
"""
