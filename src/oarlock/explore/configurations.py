"""Bounds with names; docs/internals/exploration.md has the figures, and says which were explored whole."""

from typing import Final

from oarlock.explore.bounds import Bounds

CONFIGURATIONS: Final[dict[str, Bounds]] = {
    "elections": Bounds(terms=2, entries=0),
    "entry": Bounds(terms=1, entries=1, heartbeats=False),
    "crash": Bounds(terms=2, entries=0, crashes=1, heartbeats=False),
    "entry-and-crash": Bounds(terms=2, entries=1, crashes=1, heartbeats=False, cover=True),
    "two-terms": Bounds(terms=2, entries=2, crashes=1, heartbeats=False),
    "three-terms-one-entry": Bounds(terms=3, entries=1, crashes=1, heartbeats=False),
    "three-terms-no-crash": Bounds(terms=3, entries=2, heartbeats=False),
    "three-terms": Bounds(
        terms=3,
        entries=2,
        crashes=1,
        heartbeats=False,
        cover=True,
        candidates=(1, 2, 3),
        proposed_in=(1, 2),
    ),
    "figure-8": Bounds(
        terms=4,
        entries=1,
        heartbeats=False,
        one_entry_messages=True,
        candidates=(1, 3, 1, 3),
        ignored=("only the current term is committed",),
    ),
}
"""By name.

Three terms, two entries and a crash are many states: `two-terms`, `three-terms-one-entry` and `three-terms-no-crash`
have one term, entry or crash less, and fix nothing else; `three-terms` fixes who does what. In `figure-8` four terms
lead to an entry that is committed by counting copies and then overwritten, where a leader may do that; what forbids the
counting itself is left unchecked, so that the harm is what is found.
"""
