"""Part 3C: Figure 8 over and over, by crashes and by an unreliable network; and agreement on such a network."""

from collections.abc import Callable

from oarlock.lab.suite.raft_harness import RaftHarness, raft_scenario

ITERATIONS = 1000
REORDERED_FROM = 200
"""The iteration from which replies overtake each other."""
MAJORITY = 3


@raft_scenario("3C", "Figure8", servers=5, budgets=("agreement by all at the end in 10 s",))
def figure_8(lab: RaftHarness) -> None:
    """Leaders crash soon after they took a command, a thousand times over: what was committed stays."""
    lab.one(lab.new_command(), 1, retry=True)
    for _ in range(ITERATIONS):
        leader = _start_everywhere(lab, lab.group.lives_now)
        _pause(lab)
        if leader is not None:
            lab.crash(leader)
        if sum(map(lab.group.lives_now, lab.everyone)) < MAJORITY:
            lucky = lab.random.choice(list(lab.everyone))
            if not lab.group.lives_now(lucky):
                lab.restart(lucky)
    lab.restart(*[server for server in lab.everyone if not lab.group.lives_now(server)])
    lab.one(lab.new_command(), lab.size, retry=True)


@raft_scenario("3C", "UnreliableAgree", servers=5, reliable=False, budgets=("each of 246 agreements in 10 s",))
def unreliable_agree(lab: RaftHarness) -> None:
    """Commands from several clients at once are agreed on over a network that loses and delays."""
    for round_ in range(1, 50):
        others = [lab.spawn(lambda at=100 * round_ + number: lab.one(at, 1, retry=True)) for number in range(4)]
        lab.one(round_, 1, retry=True)
        lab.join(others, 60, "agreement on four more commands")
    lab.network.reliable = True
    lab.one(100_000, lab.size, retry=True)


@raft_scenario(
    "3C",
    "Figure8Unreliable",
    servers=5,
    reliable=False,
    budgets=("agreement by all at the end in 10 s",),
    repaired="the last agreement must come in 10 s, as upstream's text says",
)
def figure_8_unreliable(lab: RaftHarness) -> None:
    """Figure 8 by cuts instead of crashes, while requests and replies are lost, late and overtake each other."""
    lab.one(lab.new_command(), 1, retry=True)
    for iteration in range(ITERATIONS):
        lab.network.long_reordering = iteration >= REORDERED_FROM
        leader = _start_everywhere(lab, lambda _: True)
        _pause(lab)
        if leader is not None and lab.random.randint(0, 1):
            lab.disconnect(leader)
        if sum(map(lab.is_connected, lab.everyone)) < MAJORITY:
            lucky = lab.random.choice(list(lab.everyone))
            if not lab.is_connected(lucky):
                lab.connect(lucky)
    lab.connect(*lab.everyone)
    lab.one(lab.new_command(), lab.size, retry=True)


def _start_everywhere(lab: RaftHarness, can: Callable[[int], bool]) -> int | None:
    """Start a command at every server; the last connected one that believed to lead."""
    leader = None
    for server in filter(can, lab.everyone):
        _, _, is_leader = lab.start(server, lab.new_command())
        if is_leader and lab.is_connected(server):
            leader = server
    return leader


def _pause(lab: RaftHarness) -> None:
    """Now and then long enough for an election, mostly too short for a command to commit everywhere."""
    longest_ms = 499 if lab.random.randint(0, 9) == 0 else 12
    lab.sleep(lab.random.randint(0, longest_ms) / 1000)
