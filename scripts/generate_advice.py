#!/usr/bin/env python3
"""Writes docs/reference/advice.md: each piece of advice, where the code upholds it, what proves it, and what breaks it.

Run it after a change of the table below: `python scripts/generate_advice.py`. Whatever the table names must be there: a
function in its file, a test in its module, a mutant in its catalogue; else this fails and says what is missing.
"""

import ast
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.support.advice_mutants import SEEN  # noqa: E402 - found by the path above
from tests.support.lab_mutants import FACADE  # noqa: E402

from oarlock.lab.advisor import CHECKS  # noqa: E402
from oarlock.lab.advisor.examples import EXAMPLES  # noqa: E402
from oarlock.zoo.catalogue import MUTANTS  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "advice.md"
PACKAGE = ROOT / "src" / "oarlock"
LAB = {mutant.id: mutant for mutant in [*FACADE, *(seen.mutant for seen in SEEN)]}

HEAD = """# The advice, and where it is kept

Written by `scripts/generate_advice.py`: do not edit.

The Students' Guide's preface, the Raft Locking Advice and the Raft Structure Advice, sentence by sentence and in our
own words. Each is held against two programs: the **server**, where asyncio tasks surround the algorithm and one of them
owns it, and the **lab's Raft**, where threads surround the same algorithm and one lock guards it. For each stand
the code that upholds the advice, the tests that prove it, and what breaks it and is noticed:

- *zoo* names a mutant of [the zoo](zoo.md): a patch of the production code that a simulation catches;
- *copy* names a buggy copy of the lab's Raft, which a scenario or the advisor catches;
- *example* names a program in `oarlock.lab.advisor.examples`, whose faulty form the advisor reports and whose repaired
  twin it does not: `oarlock lab advise oarlock.lab.advisor.examples.NAME:faulty`.

How to hold your own program against the advice is told in [check your locks](../howto/check-your-locks.md).
"""


class Side(NamedTuple):
    """How one of the two programs keeps a piece of advice."""

    where: str
    """Functions, as `file.py:Class.function` below the package, separated by blanks; or a file alone."""
    tests: str
    """As `tests/.../test_x.py::test_y`, separated by blanks; `@name` stands for one of `TESTS`."""
    broken: str
    """As `zoo:id`, `copy:id`, `example:name`, separated by blanks; or `- reason` where nothing can break it."""
    how: str = ""
    """In a few words."""


class Advice(NamedTuple):
    """One sentence of the notes, paraphrased."""

    says: str
    server: Side
    lab: Side


TESTS = {
    "advisor": "tests/lab/advisor/test_examples.py::test_our_own_raft_is_not_reported",
    "copies": "tests/lab/advisor/test_mutants.py::test_buggy_copy_is_reported",
    "examples": "tests/lab/advisor/test_examples.py::test_faulty_program_is_reported",
    "suite": "tests/lab/suite/test_our_raft.py::test_virtual",
    "floors": "tests/architecture/test_floors.py::test_import_contracts_hold",
    "stale": "tests/paper/test_all_servers.py::test_a_stale_reply_changes_nothing",
    "term": "tests/paper/test_all_servers.py::test_a_newer_term_is_adopted",
    "campaign": "tests/paper/test_candidates.py::test_a_campaign",
    "two": "tests/node/test_ticker.py::test_two_activities_of_every_node",
    "seeds": "tests/sim/test_seeds.py::test_fixed_seeds_are_clean",
}
OWNER = "node/owner.py:Owner._turn"
SERVER = "lab/raft/server.py:LabRaft"
LOCK = f"{SERVER}.start {SERVER}._answer {SERVER}._elect {SERVER}._beat {SERVER}._apply {SERVER}._call"
NO_LOCK = "- there is no lock to hold: a turn of the owner is one call that cannot await"
IN_CORE = "the core's own, see the server"

GUIDE = [
    Advice(
        "As soon as messages may be late, networks may split and servers may fail, each small condition of "
        "the algorithm "
        "counts.",
        Side(
            "sim/run.py",
            "@seeds tests/architecture/test_rules.py::test_every_rule_is_proved",
            "zoo:gap-is-no-mismatch",
            "every rule has a test of its own, and faults are simulated from seeds",
        ),
        Side("lab/network.py:Network.transmit", "@suite", "copy:saves-nothing", "the labs' network and scenarios"),
    ),
    Advice(
        "The bugs that people have are mostly slips in reading the paper, and the same ones again and again.",
        Side("zoo/mutant.py", "@seeds", "zoo:counts-older-terms", "each known slip is a mutant that must be caught"),
        Side(
            "lab/raft/server.py",
            "tests/lab/test_buggy.py::test_the_bug_around_the_core_shows",
            "copy:applies-what-is-appended",
            "and a buggy copy that a scenario must fail on",
        ),
    ),
    Advice(
        "Figure 2 is exact: each of its statements has to be read as MUST, none as SHOULD.",
        Side(
            "raft/rules.py",
            "tests/architecture/test_rules.py::test_every_rule_is_fired "
            "tests/architecture/test_rules.py::test_every_rule_is_proved",
            "zoo:heartbeat-skips-check",
            "see [Figure 2](figure-2.md)",
        ),
        Side("lab/raft/server.py", "@suite", "copy:saves-votes-with-entries-only", IN_CORE),
    ),
    Advice(
        "(A wish of the reader's: a diagram that helps to analyse a Raft.)",
        Side("diagram/page.py", "tests/diagram/test_page.py::*", "- not advice", "`oarlock draw`"),
        Side(
            "lab/advisor/page.py:page",
            "tests/lab/advisor/test_report.py::test_command_tells_rule_stacks_and_advice",
            "- not advice",
            "`oarlock lab run --trace`, and `oarlock lab advise -o` for locks",
        ),
    ),
]

LOCKING = [
    Advice(
        "Rule 1. Data that more than one thread uses, and that any of them may change, is used under a lock, "
        "so that no "
        "two use it at once.",
        Side(
            OWNER,
            "@floors",
            "- no data is shared: threads hand over values, and the core may not import threads",
            "one task owns the Raft",
        ),
        Side(LOCK, "@advisor @copies", "copy:starts-without-the-lock example:shared_data", "one lock"),
    ),
    Advice(
        "Rule 2. A sequence of changes that others must not see in the middle is made under the lock as a whole.",
        Side(f"{OWNER} raft/raft.py:Raft.step", "@term", "zoo:vote-outlives-its-term", "an event is one call"),
        Side(f"{SERVER}._answer {SERVER}._carry_out", "@advisor", "example:half_changed", "one region for an event"),
    ),
    Advice(
        "So nobody ever sees the new term with the old role, or the old term with the new role.",
        Side(
            "raft/roles.py:become_follower raft/roles.py:become_candidate",
            "@term @campaign",
            "zoo:vote-outlives-its-term",
            "both in one function",
        ),
        Side(f"{SERVER}.get_state", "@advisor", "example:half_changed", "both read in one region"),
    ),
    Advice(
        "Rule 3. A sequence of reads, or of reads and writes, that a change in the middle would spoil is "
        "made under the "
        "lock as a whole.",
        Side(
            f"{OWNER}",
            "tests/raft/test_roles.py::test_the_term_does_not_fall",
            "zoo:term-adopted-afterwards",
            "nothing comes in between",
        ),
        Side(f"{SERVER}._answer", "@advisor", "example:check_then_act", "one region"),
    ),
    Advice(
        "So to compare a term with one's own, and to adopt it, is one step.",
        Side(
            "raft/raft.py:Raft._look_over_term",
            "@term tests/raft/test_roles.py::test_the_term_does_not_fall",
            "zoo:term-adopted-afterwards",
            "once for all messages",
        ),
        Side(f"{SERVER}._answer", "@advisor", "example:check_then_act", IN_CORE),
    ),
    Advice(
        "Real critical sections are longer than such examples: the handler of an RPC holds the lock from "
        "beginning to end.",
        Side(
            "node/owner.py:Owner._step_all",
            "tests/paper/test_all_servers.py::test_a_request_of_a_newer_term_is_handled_in_that_term",
            "zoo:goes-on-after-refusing",
            "a message is one call of `step`",
        ),
        Side(
            f"{SERVER}.append_entries {SERVER}._answer",
            "@advisor",
            "example:check_then_act",
            "`_answer` is the handler",
        ),
    ),
    Advice(
        "Rule 4. Nothing that might wait is done with the lock held: no receiving from a channel.",
        Side("node/applier.py:Applier.run", "@floors", NO_LOCK, "the core has nothing to await"),
        Side(
            f"{SERVER}._apply",
            "@advisor tests/lab/advisor/test_checks.py::test_waits_with_a_lock",
            "example:put_with_lock",
            "waits for a condition, which gives the lock back",
        ),
    ),
    Advice(
        "No sending on a channel.",
        Side(
            "node/applier.py:Applier.commit",
            "tests/node/test_applier.py::test_backlog_does_not_delay_heartbeats",
            NO_LOCK,
            "a list and a kick",
        ),
        Side(
            f"{SERVER}._apply {SERVER}._released",
            "tests/lab/raft/test_server.py::test_a_service_that_takes_nothing_stops_nobody @copies",
            "copy:delivers-with-the-lock example:put_with_lock example:four_way",
            "released around the put",
        ),
    ),
    Advice(
        "No waiting for a timer, and no sleep.",
        Side("node/ticker.py:Ticker.run", "@two", NO_LOCK, "tasks of their own sleep"),
        Side(
            f"{SERVER}._elect",
            "@advisor @copies",
            "copy:sleeps-with-the-lock example:sleep_with_lock",
            "released around the sleep",
        ),
    ),
    Advice(
        "No RPC whose reply is waited for.",
        Side(
            "node/sender.py:Sender.send_all",
            "tests/transport/test_tcp.py::test_sending_without_a_link_drops",
            NO_LOCK,
            "sending never waits",
        ),
        Side(
            f"{SERVER}._call",
            "@advisor @copies",
            "copy:calls-with-the-lock example:call_with_lock",
            "called before the lock is taken",
        ),
    ),
    Advice(
        "Who has to wait releases the lock first; or a thread is made just for the wait.",
        Side(
            "node/owner.py:Owner._carry_out",
            "tests/node/test_proposals.py::test_one_turn_is_one_write",
            NO_LOCK,
            "the disk has a thread",
        ),
        Side(f"{SERVER}._released {SERVER}._send", "@advisor", "example:join_with_lock", "both are done"),
    ),
    Advice(
        "Rule 5. What was assumed before a lock was let go need not hold after it is taken again, as after a wait.",
        Side("raft/raft.py:Raft._look_over_term", "@stale", "zoo:old-acknowledgements-count", "rule RS-1"),
        Side(
            f"{SERVER}._call {SERVER}._apply",
            "@advisor @stale",
            "zoo:old-acknowledgements-count example:unchecked_append",
            IN_CORE,
        ),
    ),
    Advice(
        "The term in a request is that of the decision, copied while the lock was held; a thread that reads "
        "it later may "
        "ask for votes in a term in which it is no candidate.",
        Side(
            "raft/request_vote.py:campaign",
            "@campaign",
            "- messages are made in the call that decides them",
            "one call",
        ),
        Side(f"{SERVER}._send", "@advisor", "example:later_arguments", "the thread is given the whole message"),
    ),
    Advice(
        "After the reply has come, and the lock is taken again, all that the request rested on is checked "
        "again: above all "
        "that the term is still the one of the candidacy.",
        Side(
            "raft/request_vote.py:on_vote_reply",
            "tests/paper/test_candidates.py::test_votes_of_an_earlier_campaign_do_not_count",
            "zoo:old-votes-count",
            "by term and request id",
        ),
        Side(
            f"{SERVER}._call",
            "@advisor tests/paper/test_candidates.py::test_votes_of_an_earlier_campaign_do_not_count",
            "zoo:old-votes-count example:unchecked_vote",
            IN_CORE,
        ),
    ),
    Advice(
        "Concurrency is forced on a Raft in two ways alone: handlers run in the RPC system's threads, and "
        "requests are sent "
        "in threads of their own so that nobody waits for them.",
        Side("node/owner.py:Owner.receive", "@two", NO_LOCK, "arrivals are put on a list for the next turn"),
        Side(
            f"{SERVER}._answer {SERVER}._call", "@advisor", "copy:starts-without-the-lock", "both begin with the lock"
        ),
    ),
    Advice(
        "The pragmatic way: each thread takes the lock when its work begins, and gives it back when all is done.",
        Side(OWNER, "@floors", NO_LOCK, "the owner's turn"),
        Side(LOCK, "@advisor", "copy:starts-without-the-lock example:shared_data", "the loops too"),
    ),
    Advice(
        "With nothing running at the same time it is hard to break rules 1, 2, 3 and 5.",
        Side(OWNER, "@floors", "- nothing runs at the same time", ""),
        Side(LOCK, "@advisor", "example:half_changed example:check_then_act", "the advisor finds none broken"),
    ),
    Advice(
        "Rule 4 remains: look for each wait, give the lock back around it or make a thread, and look at "
        "everything anew "
        "afterwards.",
        Side(
            "node/owner.py:Owner._advance",
            "@stale",
            "zoo:believes-a-write-since-replaced",
            "what comes back from a thread is compared with today's log",
        ),
        Side(
            f"{SERVER}._released",
            "@advisor @copies",
            "copy:delivers-with-the-lock example:unchecked_append",
            "the only waits, beside the conditions",
        ),
    ),
    Advice(
        "This is easier to get right than to find the sequences that need a lock one by one.",
        Side(OWNER, "@floors", "- a judgement, not a rule", "one owner"),
        Side("lab/raft/server.py", "@suite", "- a judgement, not a rule", "one lock"),
    ),
    Advice(
        "It gives up running on several cores, of which one Raft could not make much anyway.",
        Side(
            "node/owner.py:Owner._carry_out",
            "tests/node/test_proposals.py::test_one_turn_is_one_write",
            "- a judgement, not a rule",
            "disk, machine and snapshots have threads; see [performance](../internals/performance.md)",
        ),
        Side("lab/raft/server.py", "@suite", "- a judgement, not a rule", "none but the RPCs run beside"),
    ),
]

STRUCTURE = [
    Advice(
        "A Raft answers to events from outside: `start`, RPCs, and replies to its own.",
        Side(
            "node/owner.py:Owner.receive raft/raft.py:Raft.step raft/raft.py:Raft.propose",
            "@seeds",
            "zoo:replies-teach-no-term",
            "events in, effects out",
        ),
        Side(
            f"{SERVER}.start {SERVER}._answer {SERVER}._call",
            "@suite",
            "copy:applies-what-is-appended",
            "three ways in",
        ),
    ),
    Advice(
        "It has tasks that come round: elections and heartbeats.",
        Side("raft/raft.py:Raft.tick", "@two", "zoo:no-idle-heartbeats", ""),
        Side(
            f"{SERVER}._elect {SERVER}._beat",
            "tests/lab/raft/test_server.py::test_heartbeats_are_ten_a_second",
            "copy:beats-too-often",
            "",
        ),
    ),
    Advice(
        "Its state is best shared under a lock; passing it around in messages is the other way, and the harder one.",
        Side(OWNER, "@floors", NO_LOCK, "the other way: one owner and queues to it, which asyncio makes the easy one"),
        Side(f"{SERVER}.__init__", "@advisor", "example:shared_data", "one lock and two conditions on it"),
    ),
    Advice(
        "The leader must send heartbeats, and the others must start an election when they have not heard of "
        "a leader for "
        "too long.",
        Side(
            "raft/replication.py:on_leader_tick raft/request_vote.py:on_election_timeout",
            "tests/paper/test_leaders.py::test_heartbeats_are_repeated_when_idle "
            "tests/paper/test_followers.py::test_an_election_timeout_starts_a_campaign",
            "zoo:no-idle-heartbeats",
            "",
        ),
        Side(f"{SERVER}._beat {SERVER}._elect", "@suite", "copy:elections-beat-too", IN_CORE),
    ),
    Advice(
        "Each of the two has a long-running thread of its own, rather than one for both.",
        Side("node/ticker.py:Ticker.run", "@two", "zoo:heartbeats-only zoo:ticker-does-not-look-again", "two tickers"),
        Side(
            f"{SERVER}._elect {SERVER}._beat",
            "@advisor @copies",
            "copy:elections-beat-too example:combined_timers",
            "two threads",
        ),
    ),
    Advice(
        "For the election timeout keep the time of the last contact with the leader, and have a thread "
        "compare it with the "
        "clock again and again.",
        Side(
            "raft/raft.py:Raft.election_deadline",
            "tests/paper/test_followers.py::test_nothing_else_puts_the_election_off",
            "zoo:stale-heartbeat-resets-timer zoo:refused-vote-resets-timer",
            "`last_contact` and a deadline",
        ),
        Side(f"{SERVER}._elect", "@advisor", "example:timer_objects", "every 25 ms"),
    ),
    Advice(
        "Sleep for a small constant time between the looks; timers that fire or are reset are hard to use "
        "without a race.",
        Side(
            "node/alarm.py",
            "tests/node/test_ticker.py::test_deadline_that_moves_on_costs_nothing",
            "zoo:ticker-spins",
            "sleeps to the deadline it knows, then looks again: nothing is reset when something is heard",
        ),
        Side(f"{SERVER}._elect", "@advisor", "example:timer_objects", "`time.sleep`"),
    ),
    Advice(
        "A separate long-running thread sends what is committed on the apply channel, in order.",
        Side(
            "node/applier.py:Applier.run",
            "tests/paper/test_all_servers.py::test_committed_entries_are_applied_in_order",
            "zoo:hands-out-twice",
            "one task",
        ),
        Side(f"{SERVER}._apply", "@suite @advisor", "copy:two-appliers example:two_appliers", "one thread"),
    ),
    Advice(
        "Separate, because the channel can block.",
        Side(
            "node/applier.py:Applier.run",
            "tests/node/test_applier.py::test_backlog_does_not_delay_heartbeats",
            "- the machine is called by this task alone",
            "heartbeats go on meanwhile",
        ),
        Side(
            f"{SERVER}._apply",
            "tests/lab/raft/test_server.py::test_a_service_that_takes_nothing_stops_nobody",
            "copy:delivers-with-the-lock example:put_with_lock",
            "",
        ),
    ),
    Advice(
        "A single one, because two could overtake each other.",
        Side(
            "node/applier.py:Applier.run",
            "tests/paper/test_all_servers.py::test_committed_entries_are_applied_in_order",
            "zoo:two-appliers",
            "",
        ),
        Side(f"{SERVER}._apply", "@advisor @copies", "copy:two-appliers example:two_appliers", ""),
    ),
    Advice(
        "Whoever moves the commit index wakes it, best by a condition variable.",
        Side(
            "node/applier.py:Applier.commit",
            "tests/node/test_ticker.py::test_kicks_are_remembered_and_merged",
            "zoo:applier-is-not-woken",
            "a kick that is not lost",
        ),
        Side(f"{SERVER}._hand_over", "@suite @copies", "copy:applier-is-not-kicked example:applier_sleeps", "`notify`"),
    ),
    Advice(
        "Each RPC is sent, and its reply dealt with, in a thread of its own.",
        Side(
            "node/sender.py:Sender.send_all node/owner.py:Owner.receive",
            "tests/transport/test_bounds.py::test_heartbeats_do_not_wait_behind_a_stuck_snapshot",
            "- there is no call that waits: requests and replies are messages",
            "messages, not calls",
        ),
        Side(
            f"{SERVER}._send {SERVER}._call",
            "@advisor @copies",
            "copy:one-rpc-at-a-time example:serial_rpcs",
            "a thread for each",
        ),
    ),
    Advice(
        "So peers that cannot be reached do not delay a majority's replies.",
        Side(
            "node/sender.py:Sender.send",
            "tests/transport/test_bounds.py::test_a_stuck_reader_costs_bounded_memory",
            "- there is no call that waits",
            "a bounded queue for each peer",
        ),
        Side(f"{SERVER}._send", "@suite @copies", "copy:one-rpc-at-a-time example:serial_rpcs", ""),
    ),
    Advice(
        "And the timers go on at all times.",
        Side(
            "node/ticker.py:Ticker.run",
            "@two tests/node/test_applier.py::test_backlog_does_not_delay_heartbeats",
            "zoo:heartbeats-only",
            "",
        ),
        Side(
            f"{SERVER}._elect {SERVER}._beat",
            "tests/lab/raft/test_server.py::test_heartbeats_are_ten_a_second",
            "copy:elections-beat-too",
            "",
        ),
    ),
    Advice(
        "The reply is best dealt with in the same thread, not sent elsewhere over a channel.",
        Side("node/owner.py:Owner._step_all", "@stale", "- a reply is a message like any other", "in the owner's turn"),
        Side(f"{SERVER}._call", "@advisor", "- a matter of taste: with a channel the advisor sees less", ""),
    ),
    Advice(
        "The network delays requests and replies, and those that are under way together overtake each other.",
        Side(
            "raft/replication.py:on_append_entries_reply",
            "@seeds tests/paper/test_leaders.py::test_replies_move_nothing_back",
            "zoo:match-index-falls",
            "simulated from seeds",
        ),
        Side("lab/network.py:Network.transmit", "@suite", "zoo:match-index-falls", "long reordering"),
    ),
    Advice(
        "Handlers drop requests of old terms, as Figure 2 says.",
        Side(
            "raft/append_entries.py:on_append_entries raft/request_vote.py:on_request_vote",
            "tests/paper/test_append_entries.py::test_an_older_term_is_refused "
            "tests/paper/test_request_vote.py::test_an_older_term_is_refused",
            "zoo:goes-on-after-refusing zoo:votes-in-an-older-term",
            "AE-1, RV-1",
        ),
        Side(f"{SERVER}._answer", "@suite", "zoo:goes-on-after-refusing", IN_CORE),
    ),
    Advice(
        "Figure 2 says less of replies: the leader checks that the term is still that of the request.",
        Side("raft/raft.py:Raft.step", "@stale", "zoo:old-acknowledgements-count", "RS-1, once for all replies"),
        Side(f"{SERVER}._call", "@advisor", "zoo:old-acknowledgements-count example:unchecked_append", IN_CORE),
    ),
    Advice(
        "And that other replies of the same follower may have changed what it knows of it, such as "
        "`nextIndex`, meanwhile.",
        Side(
            "raft/replication.py:_on_success raft/replication.py:_on_mismatch",
            "tests/paper/test_leaders.py::test_match_index_is_what_was_verified "
            "tests/paper/test_leaders.py::test_replies_move_nothing_back "
            "tests/paper/test_leaders.py::test_a_repeated_refusal_is_stale",
            "zoo:match-from-todays-next zoo:match-index-falls",
            "`match_index` only rises",
        ),
        Side(f"{SERVER}._call", "@suite", "zoo:match-from-todays-next", IN_CORE),
    ),
]

PARTS = {
    "The Students' Guide, its preface": GUIDE,
    "The Raft Locking Advice": LOCKING,
    "The Raft Structure Advice": STRUCTURE,
}


class Missing(Exception):
    """The table names what is not there."""


@cache
def functions(path: Path) -> frozenset[str]:
    """The qualified names of all functions in a file."""
    found = set()

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(prefix + child.name)

    if not path.is_file():
        raise Missing(f"there is no file {path.relative_to(ROOT)}")
    visit(ast.parse(path.read_text()), "")
    return frozenset(found)


def places(where: str) -> str:
    """Where the code is, checked."""
    told: dict[str, list[str]] = {}
    for place in where.split():
        file, _, function = place.partition(":")
        if function and function not in functions(PACKAGE / file):
            raise Missing(f"{file} has no function {function}")
        functions(PACKAGE / file)
        told.setdefault(file, []).extend([function.rpartition(".")[2]] if function else [])
    return "; ".join(f"`{file}` {', '.join(f'`{name}`' for name in names)}".strip() for file, names in told.items())


def proofs(tests: str) -> str:
    """The tests, checked."""
    told = []
    for test in tests.split():
        named = TESTS[test[1:]] if test.startswith("@") else test
        file, _, function = named.partition("::")
        if function != "*" and function not in functions(ROOT / file):
            raise Missing(f"{file} has no test {function}")
        functions(ROOT / file)
        told.append(f"`{Path(file).name}`" if function == "*" else f"`{function}`")
    return ", ".join(dict.fromkeys(told))


def breakers(broken: str) -> str:
    """What breaks it, checked."""
    if broken.startswith("- "):
        return broken[2:]
    catalogues = {"zoo": MUTANTS, "copy": LAB, "example": EXAMPLES}
    told = []
    for each in broken.split():
        kind, _, name = each.partition(":")
        if name not in catalogues[kind]:
            raise Missing(f"there is no {kind} {name}")
        told.append(f"{kind} `{name}`")
    return ", ".join(told)


def side(of: Side) -> str:
    """Three cells of a row."""
    how = f"{of.how}: " if of.how else ""
    return f"{how}{places(of.where)} | {proofs(of.tests)} | {breakers(of.broken)}"


def example_table() -> str:
    """The advisor's checks and the programs they find."""
    rows = ["| check | advice | pitfall | programs, faulty and repaired |", "|-|-|-|-|"]
    for check in CHECKS:
        names = [f"`{name}`" for name, found in EXAMPLES.items() if found == check.check]
        rows.append(f"| {check.check} | {check.rule}: {check.advice} | {check.pitfall} | {', '.join(names)} |")
    return "\n".join(rows)


def page() -> str:
    """The whole page.

    Raises:
        Missing: The table names a file, function, test or mutant that is not there.
    """
    parts = [HEAD]
    for title, advices in PARTS.items():
        parts.append(f"## {title}\n")
        for number, advice in enumerate(advices, 1):
            rows = f"| server | {side(advice.server)} |\n| lab | {side(advice.lab)} |"
            parts.append(f"**{number}.** {advice.says}\n\n| | where | proved by | broken by |\n|-|-|-|-|\n{rows}\n")
    parts.append(
        "## What the advisor looks for\n\nHow each check decides, and what it misses, is told by the module that "
        f"makes it, in `lab/advisor/checks/`.\n\n{example_table()}\n"
    )
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE.relative_to(ROOT)}")  # noqa: T201 - says what it did
