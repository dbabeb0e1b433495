"""What must be remembered of the way to a state, to judge it: who led, what was committed, and what was spent."""

from typing import NamedTuple

from oarlock.explore.bounds import Bounds, Renaming
from oarlock.explore.renaming import rename
from oarlock.explore.view import View
from oarlock.explore.violation import Require
from oarlock.raft.types import Configuration, Entry, Index, ServerId, Term


class Reign(NamedTuple):
    """Who won a term, and the terms of its log's entries then."""

    leader: ServerId
    terms: tuple[Term, ...]
    """Of the entries from index 1 on; 0 where a snapshot stands for them."""


class Committed(NamedTuple):
    """An entry that some server took for committed, and the term in which the first one did."""

    term: Term
    entry: Entry | None
    """None if it was first known from a snapshot."""
    in_term: Term


class History(NamedTuple):
    """The way to a state."""

    reigns: tuple[Reign | None, ...]
    """Of the terms from 1 on."""
    committed: tuple[Committed, ...] = ()
    spent: tuple[int, ...] = (0, 0, 0, 0)
    """How many proposals, crashes, changes and snapshots there were."""

    def renamed(self, renaming: Renaming) -> "History":
        """With other names for the servers."""
        reigns = tuple([each and Reign(renaming[each.leader - 1], each.terms) for each in self.reigns])
        committed = tuple([rename(each, renaming) for each in self.committed])
        return History(reigns, committed, self.spent)


PROPOSAL, CRASH, CHANGE, SNAPSHOT = range(4)


class Fact(NamedTuple):
    """What a step adds to history."""

    won: View | None = None
    """The server that won its term by it."""
    commits: View | None = None
    """The server that knows of more committed entries since."""
    spent: tuple[int, ...] = ()
    """The bounds that it counts against."""
    configurations: tuple[Configuration, ...] = ()
    """In which the server that knows of more may have counted: the ones before and after the step."""


def first_history(bounds: Bounds) -> History:
    """Nothing happened yet."""
    return History((None,) * bounds.terms)


def fact_of(before: View, after: View, spent: tuple[int, ...]) -> Fact | None:
    """What a step adds to history, if anything."""
    wins = after.is_leader and (not before.is_leader or after.current_term != before.current_term)
    commits = after.commit_index > before.commit_index
    if not wins and not commits and not spent:
        return None
    held = (before.configuration, after.configuration) if commits else ()
    return Fact(after if wins else None, after if commits else None, spent, held)


def extend(history: History, fact: Fact, require: Require) -> History:
    """History with a fact more.

    Raises:
        Broken: The two go against each other.
    """
    if fact.spent:
        spent = list(history.spent)
        for bound in fact.spent:
            spent[bound] += 1
        history = history._replace(spent=tuple(spent))
    if fact.won is not None:
        history = _win(history, fact.won, require)
    if fact.commits is not None:
        history = _commit(history, fact.commits, require)
    return history


def _win(history: History, leader: View, require: Require) -> History:
    term = leader.current_term
    earlier = history.reigns[term - 1]
    who = f"server {earlier.leader}" if earlier is not None else "nobody"
    require(earlier is None, "election safety", f"server {leader.id} leads term {term}, which {who} led already")
    terms = (*[0] * leader.base_index, *[entry.term for entry in leader.entries if entry.term < term])
    for index, committed in enumerate(history.committed, 1):
        has = committed.in_term >= term or _has(terms, index, committed.term, leader.base_index)
        sentence = (
            f"server {leader.id} leads term {term} without entry {index} of term {committed.term}, which was committed "
            f"in term {committed.in_term}"
        )
        require(has, "leader completeness", sentence)
    reigns = (*history.reigns[: term - 1], Reign(leader.id, terms), *history.reigns[term:])
    return history._replace(reigns=reigns)


def _has(terms: tuple[Term, ...], index: Index, term: Term, base_index: Index = 0) -> bool:
    return index <= base_index or (index <= len(terms) and terms[index - 1] in (0, term))


def _commit(history: History, view: View, require: Require) -> History:
    committed = list(history.committed)
    require(
        view.base_index <= len(committed) or not view.base_index,
        "state machine safety",
        f"server {view.id} dropped its log up to {view.base_index}, with {len(committed)} committed",
    )
    for index in range(len(committed) + 1, view.commit_index + 1):
        entry = view.entries[index - view.base_index - 1]
        committed.append(Committed(entry.term, entry, view.current_term))
        for term, reign in enumerate(history.reigns, 1):
            has = reign is None or term <= view.current_term or _has(reign.terms, index, entry.term)
            sentence = (
                f"server {view.id} committed entry {index} in term {view.current_term}, which the leader of term "
                f"{term} lacked"
            )
            require(has, "leader completeness", sentence)
    return history._replace(committed=tuple(committed))


def check_committed(view: View, history: History, require: Require) -> None:
    """Check that a server takes nothing else for committed than what was.

    Raises:
        Broken: It does.
    """
    for index, committed in enumerate(history.committed[: view.commit_index], 1):
        if index < view.base_index:
            continue
        term = view.term(index)
        is_same = term == committed.term
        if index > view.base_index and committed.entry is not None:
            is_same = view.entries[index - view.base_index - 1] == committed.entry
        sentence = (
            f"server {view.id} takes an entry of term {term} for committed at index {index}, where one of term "
            f"{committed.term} is"
        )
        require(is_same, "committed entries never change", sentence)


def check_quorum(history: History, fact: Fact, views: list[View], require: Require) -> None:
    """Check that what was just committed is on the disks of a majority, while joint of both halves.

    Raises:
        Broken: It is not.
    """
    index = len(history.committed)
    term = history.committed[-1].term
    disks = {view.id: view.disk for view in views}
    holders = {id_ for id_, disk in disks.items() if index <= disk.base_index or disk.term(index) == term}
    is_durable = any(
        all(2 * len(half & holders) > len(half) for half in (held.voters, held.voters_outgoing) if half)
        for held in fact.configurations
    )
    who = f"server {fact.commits.id}" if fact.commits is not None else "a server"
    sentence = f"{who} committed entry {index} of term {term}, which only {sorted(holders)} have on disk"
    require(is_durable, "committed on a durable quorum", sentence)
