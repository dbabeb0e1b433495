"""All states of single servers there are, by number: what each looks like, and what it is under other names."""

from collections.abc import Sequence

from oarlock.explore.bounds import Bounds, Renaming
from oarlock.explore.frozen import server_places
from oarlock.explore.properties import check_server
from oarlock.explore.renaming import rename, rename_core
from oarlock.explore.server import ServerState, Stepper
from oarlock.explore.tidying import Tidier
from oarlock.explore.view import View, view_of
from oarlock.explore.violation import Require


class Servers:
    """States of servers.

    Args:
        bounds: Of the cluster.
        stepper: Knows how they are made.
        require: Judges each state once.
    """

    def __init__(self, bounds: Bounds, stepper: Stepper, require: Require) -> None:
        self._bounds = bounds
        self._stepper = stepper
        self._require = require
        self._renamings: Sequence[Renaming] = bounds.renamings()
        places = {renaming: place for place, renaming in enumerate(self._renamings)}
        self._products = [
            [places[tuple([second[name - 1] for name in first])] for second in self._renamings]
            for first in self._renamings
        ]
        """Of two renamings, the one after the other, the number of the one that does the same."""
        self._numbers: dict[ServerState, int] = {}
        self.states: list[ServerState] = []
        self.views: list[View] = []
        self.kinds: list[int] = []
        """Of each, what it is but for names."""
        self.images: list[list[int]] = [[] for _ in self._renamings]
        """Of each renaming, what each becomes."""
        self.tidiers: tuple[list[Tidier], list[Tidier]] = ([], [])
        """Of each, what tidies parts of the network: where no crash is to come, and where one may."""

    def number_of(self, server: ServerState) -> int:
        """A server state's number.

        Raises:
            Broken: It is new, and a property does not hold.
        """
        number = self._numbers.get(server)
        if number is not None:
            return number
        images = [self._add(renamed_server(server, renaming)) for renaming in self._renamings]
        kind = min(images)
        for first, image in enumerate(images):
            self.kinds[image] = kind
            for second, both in enumerate(self._products[first]):
                self.images[second][image] = images[both]
        check_server(self.views[images[0]], self._require)
        return images[0]

    def twin(self, server: int) -> tuple[int, int]:
        """The first that a server differs from only in names, and the number of the renaming that makes it of that."""
        kind = self.kinds[server]
        return kind, next(place for place, images in enumerate(self.images) if images[kind] == server)

    def _add(self, server: ServerState) -> int:
        number = self._numbers.get(server)
        if number is None:
            number = self._numbers[server] = len(self.states)
            self.states.append(server)
            view = view_of(server, self._stepper.thaw(server).state)
            self.views.append(view)
            crashes = self._bounds.may_crash(server.id)
            for may_crash, tidiers in enumerate(self.tidiers):
                tidiers.append(Tidier(view, self._bounds, may_crash=bool(may_crash) and crashes))
            self.kinds.append(0)
            for images in self.images:
                images.append(0)
        return number


def renamed_server(server: ServerState, renaming: Renaming) -> ServerState:
    """A server state under other names."""
    return ServerState(
        renaming[server.id - 1],
        rename_core(server.core, renaming, server_places),
        rename(server.disk, renaming),
        rename(server.writing, renaming),
    )
