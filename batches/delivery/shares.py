"""Which route each newly claimed email goes to: by order, by weight, and as far as each route has space.

Places and the space of each route enter. A route for each place leaves. The functions read no database and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batches.delivery.spec import RouteSpec


class Shares:
    """Smooth weighted round robin, as nginx does it, over a lane's whole run.

    At each place every route that takes part gains its weight. The route that has most gets the email, and loses what
    all of them gained. So the routes take turns. While the same routes take part, each has exactly its share after as
    many places as the weights add up to.
    """

    def __init__(self, routes: Sequence[RouteSpec]) -> None:
        self._weights = [route.weight for route in routes]
        self._orders = [route.order for route in routes]
        self._gains = [0] * len(routes)

    def plan(self, places: int, spaces: Mapping[int, int]) -> list[int]:
        """Return the route of each place, at most ``places`` of them.

        ``spaces`` is how many emails each route may get, by its place in ``LaneSpec.routes``. A route with a higher
        order gets what those with lower orders have no space for.
        """
        left = {route: space for route, space in spaces.items() if space > 0}
        planned: list[int] = []
        while left and len(planned) < places:
            order = min(self._orders[route] for route in left)
            route = self._choose([route for route in left if self._orders[route] == order])
            planned.append(route)
            left[route] -= 1
            if not left[route]:
                del left[route]
        return planned

    def _choose(self, routes: Sequence[int]) -> int:
        for route in routes:
            self._gains[route] += self._weights[route]
        chosen = max(routes, key=self._gains.__getitem__)
        self._gains[chosen] -= sum(self._weights[route] for route in routes)
        return chosen
