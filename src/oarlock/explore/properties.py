"""The properties of `oarlock.check.PROPERTIES`, of single states: of one server, of a step, of two servers.

`oarlock.check` watches one run and remembers it. Here there are many runs at once, so what must be remembered is in the
state (`oarlock.explore.history`), and all else is worked out from one server, or from two.
"""

from itertools import pairwise

import msgspec

from oarlock.check.membership import describe, is_safe_change
from oarlock.explore.disk import Disk
from oarlock.explore.view import View
from oarlock.explore.violation import Require
from oarlock.raft.types import Configuration, Entry, EntryKind, Index


def check_server(view: View, require: Require) -> None:
    """Check a state of one server.

    Raises:
        Broken: A property does not hold.
    """
    who = f"server {view.id}"
    terms = [view.base.last_included_term, *[entry.term for entry in view.entries], view.current_term]
    require(terms == sorted(terms), "terms rise along the log", f"{who} has entries of terms {terms[:-1]}")
    order = (view.base_index, view.last_applied, view.commit_index, view.last_index)
    require(list(order) == sorted(order), "order of indices", f"{who}: purged, applied, committed, last are {order}")
    _check_configurations(view, require)
    for index in range(view.base_index + 1, view.durable_index + 1):
        require(
            view.disk.term(index) == view.term(index) or index <= view.disk.base.last_included_index,
            "nothing promised before it is durable",
            f"{who} takes index {index} for durable, which is not on its disk",
        )


def _check_configurations(view: View, require: Require) -> None:
    held = [(view.base_index, view.base.configuration)]
    held += [
        (entry.index, msgspec.msgpack.decode(entry.data, type=Configuration))
        for entry in view.entries
        if entry.kind is EntryKind.CONFIGURATION
    ]
    newest = held[-1][1]
    require(
        view.configuration == newest and list(view.configurations) == held,
        "configuration is the log's",
        f"server {view.id} acts upon {describe(view.configuration)}, but the newest in its log is {describe(newest)}",
    )
    for (_, old), (index, new) in pairwise(held):
        require(
            is_safe_change(old, new),
            "majorities overlap",
            f"server {view.id} changed at index {index} from {describe(old)} to {describe(new)}",
        )


def check_change(view: View, committed: Index, require: Require) -> None:
    """Check that at most one change of members is under way, with all up to `committed` committed.

    Raises:
        Broken: There are more.
    """
    pending = [index for index, _ in view.configurations[1:] if index > max(committed, view.commit_index)]
    sentence = f"server {view.id} has changes of configuration under way at the indices {pending}"
    require(len(pending) <= 1, "one change at a time", sentence)


def check_step(before: View, after: View, require: Require, *, is_same_life: bool) -> None:
    """Check a step of one server.

    Raises:
        Broken: A property does not hold.
    """
    if not is_same_life:
        _check_start(before.disk, after, require)
        return
    same_leader = before.is_leader and after.is_leader and before.current_term == after.current_term
    if not same_leader:
        return
    who = f"server {after.id}, leader of term {after.current_term},"
    kept = all(after.term(entry.index) == entry.term for entry in before.entries if entry.index > after.base_index)
    require(kept, "leader append-only", f"{who} rewrote its log")
    if after.commit_index > before.commit_index:
        term = after.term(after.commit_index)
        sentence = f"{who} committed index {after.commit_index} of term {term} by counting"
        require(term == after.current_term, "only the current term is committed", sentence)
    earlier = dict(before.match_index)
    for peer, match in after.match_index:
        old = earlier.get(peer, 0)
        require(match >= old, "monotone match_index", f"{who} lowered server {peer}'s from {old} to {match}")


def _check_start(disk: Disk, after: View, require: Require) -> None:
    hard_state = disk.hard_state
    term, vote = hard_state.current_term, hard_state.voted_for
    require(after.current_term == term, "monotone term", f"server {after.id} started in {after.current_term}")
    require(after.voted_for == vote, "one vote a term", f"server {after.id} started with {after.voted_for}, not {vote}")
    require(
        after.last_index == disk.last_index and after.entries == disk.entries,
        "durability",
        f"server {after.id} started with another log than is on its disk",
    )


def check_pair(one: View, other: View, require: Require) -> None:
    """Check what must hold between two servers.

    Raises:
        Broken: A property does not hold.
    """
    if one.is_leader and other.is_leader:
        sentence = f"servers {one.id} and {other.id} both lead term {one.current_term}"
        require(one.current_term != other.current_term, "election safety", sentence)
    for mine, theirs in (
        (one.entries, other.entries),
        (one.entries, other.disk.entries),
        (one.disk.entries, other.entries),
    ):
        index = _mismatch(mine, theirs)
        sentence = (
            f"servers {one.id} and {other.id} share an entry, but not all before it; they differ at index {index}"
        )
        require(index is None, "log matching", sentence)
    _check_match(one, other, require)
    _check_match(other, one, require)


def _mismatch(one: tuple[Entry, ...], other: tuple[Entry, ...]) -> Index | None:
    """Where two logs differ below an entry that both have, if they do."""
    if not one or not other:
        return None
    first, last = max(one[0].index, other[0].index), min(one[-1].index, other[-1].index)
    agree = False
    for index in range(last, first - 1, -1):
        mine, theirs = one[index - one[0].index], other[index - other[0].index]
        agree = agree or mine.term == theirs.term
        if agree and mine != theirs:
            return index
    return None


def _check_match(leader: View, follower: View, require: Require) -> None:
    if not leader.is_leader or leader.current_term != follower.current_term:
        return
    for peer, match in leader.match_index:
        if peer == follower.id and match > max(follower.disk.base.last_included_index, leader.base_index):
            sentence = f"server {leader.id} counts on server {peer} for index {match}, which is not on its disk"
            require(follower.disk.term(match) == leader.term(match), "match_index is durable", sentence)
