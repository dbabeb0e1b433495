"""Part 3B: commands are agreed on, with few RPCs, and only by majorities."""

from oarlock.lab.failure import LabFailure
from oarlock.lab.suite.election import ELECTION_S
from oarlock.lab.suite.raft_harness import RaftHarness, raft_scenario

TRIES = 5
"""Of what needs a term that lasts."""


@raft_scenario("3B", "BasicAgree", servers=3, budgets=("indices exactly 1, 2, 3",))
def basic_agree(lab: RaftHarness) -> None:
    """Three commands are agreed on at the indices 1, 2 and 3, and nothing is before they are started."""
    for index in (1, 2, 3):
        lab.check_not_committed(index, "before anything was started there")
        found = lab.one(index * 100, lab.size, retry=False)
        lab.require(found == index, f"agreed at index {found}, not {index}")


@raft_scenario("3B", "RPCBytes", servers=3, budgets=("at most 3 x 50,000 + 50,000 bytes for 50,000 of commands",))
def rpc_bytes(lab: RaftHarness) -> None:
    """Each command is sent to each peer just once."""
    lab.one("first", lab.size, retry=False)
    before = lab.network.total_bytes
    for number in range(10):
        text = f"{number:04}{lab.random.getrandbits(20000):x}"[:5000].ljust(5000, "x")
        index = lab.one(text, lab.size, retry=False)
        lab.require(index == number + 2, f"agreed at index {index}, not {number + 2}")
    sent = lab.network.total_bytes - before
    lab.measure("bytes for ten commands of 5,000", sent, most=lab.size * 50_000 + 50_000)


@raft_scenario("3B", "FollowerFailure", servers=3, budgets=("the fourth command at index 4",))
def follower_failure(lab: RaftHarness) -> None:
    """Agreement goes on without one follower, and stops without both."""
    lab.one(101, lab.size, retry=False)
    leader = lab.check_one_leader()
    lab.disconnect(lab.after(leader))
    lab.one(102, lab.size - 1, retry=False)
    lab.sleep(ELECTION_S)
    lab.one(103, lab.size - 1, retry=False)
    leader = lab.check_one_leader()
    lab.disconnect(lab.after(leader), lab.after(leader, 2))
    index, _, is_leader = lab.start(leader, 104)
    lab.require(is_leader, f"server {leader} led, and gave up though nobody else can lead")
    lab.require(index == 4, f"the fourth command got index {index}")
    lab.sleep(2 * ELECTION_S)
    lab.check_not_committed(index, "with two of three cut off")


@raft_scenario("3B", "LeaderFailure", servers=3)
def leader_failure(lab: RaftHarness) -> None:
    """Agreement goes on without the first leader, and stops without the second too."""
    lab.one(101, lab.size, retry=False)
    lab.disconnect(lab.check_one_leader())
    lab.one(102, lab.size - 1, retry=False)
    lab.sleep(ELECTION_S)
    lab.one(103, lab.size - 1, retry=False)
    lab.disconnect(lab.check_one_leader())
    for server in lab.everyone:
        lab.start(server, 104)
    lab.sleep(2 * ELECTION_S)
    lab.check_not_committed(4, "with two of three cut off")


@raft_scenario("3B", "FailAgree", servers=3)
def fail_agree(lab: RaftHarness) -> None:
    """A follower that was away catches up, and takes part again."""
    lab.one(101, lab.size, retry=False)
    leader = lab.check_one_leader()
    lab.disconnect(lab.after(leader))
    lab.one(102, lab.size - 1, retry=False)
    lab.one(103, lab.size - 1, retry=False)
    lab.sleep(ELECTION_S)
    lab.one(104, lab.size - 1, retry=False)
    lab.one(105, lab.size - 1, retry=False)
    lab.connect(lab.after(leader))
    lab.one(106, lab.size, retry=True)
    lab.sleep(ELECTION_S)
    lab.one(107, lab.size, retry=True)


@raft_scenario("3B", "FailNoAgree", servers=5, budgets=("the second command at index 2, the third at 2 or 3",))
def fail_no_agree(lab: RaftHarness) -> None:
    """With three of five followers away nothing commits; when they are back, things go on from what there is."""
    lab.one(10, lab.size, retry=False)
    leader = lab.check_one_leader()
    away = [lab.after(leader, distance) for distance in (1, 2, 3)]
    lab.disconnect(*away)
    index, _, is_leader = lab.start(leader, 20)
    lab.require(is_leader, f"server {leader} led, and refuses a command at once")
    lab.require(index == 2, f"the second command got index {index}")
    lab.sleep(2 * ELECTION_S)
    lab.check_not_committed(index, "with three of five cut off")
    lab.connect(*away)
    leader = lab.check_one_leader()
    index, _, is_leader = lab.start(leader, 30)
    lab.require(is_leader, f"server {leader} was just elected, and refuses a command")
    lab.require(index in (2, 3), f"the third command got index {index}, not 2 or 3")
    lab.one(1000, lab.size, retry=True)


@raft_scenario("3B", "ConcurrentStarts", servers=3, budgets=("at most 5 tries",))
def concurrent_starts(lab: RaftHarness) -> None:
    """Commands started at the same time in one term all commit, each at an index of its own."""
    for attempt in range(TRIES):
        if attempt:
            lab.sleep(3)  # for the next term to settle
        if _start_five_at_once(lab):
            return
    raise LabFailure(f"the term changed in each of {TRIES} tries, on a network without failures")


def _start_five_at_once(lab: RaftHarness) -> bool:
    """Whether the term lasted for long enough to tell."""
    leader = lab.check_one_leader()
    _, term, is_leader = lab.start(leader, 1)
    if not is_leader:
        return False
    indices: list[int] = []

    def start(command: int) -> None:
        index, in_term, leads = lab.start(leader, command)
        if leads and in_term == term:
            indices.append(index)

    lab.join([lab.spawn(start, 100 + number) for number in range(5)], 10, "five calls of start")
    if any(lab.raft(server).get_state()[0] != term for server in lab.everyone):
        return False
    lab.require(len(set(indices)) == len(indices), f"start gave one index twice: {sorted(indices)}")
    applied = [lab.wait(index, lab.size, term) for index in indices]
    if None in applied:
        return False
    missing = sorted(set(range(100, 105)) - set(applied))
    lab.require(not missing, f"the commands {missing} are missing among {applied}")
    return True


@raft_scenario(
    "3B",
    "Count",
    servers=3,
    budgets=("1 to 30 RPCs to elect", "42 RPCs for 12 commands", "60 RPCs in an idle second", "consecutive indices"),
)
def count(lab: RaftHarness) -> None:
    """Elections, agreement and idling take few RPCs."""
    lab.check_one_leader()
    lab.measure("RPCs to elect a leader", _handled(lab), least=1, most=30)
    for attempt in range(TRIES):
        if attempt:
            lab.sleep(3)
        used = _rpcs_for_twelve(lab)
        if used is not None:
            lab.measure("RPCs for 12 commands", used, most=42)
            break
    else:
        raise LabFailure(f"the term changed in each of {TRIES} tries, on a network without failures")
    before = _handled(lab)
    lab.sleep(1)
    lab.measure("RPCs in an idle second", _handled(lab) - before, most=60)


def _handled(lab: RaftHarness) -> int:
    return sum(lab.network.rpcs_of(lab.group.server_name(server)) for server in lab.everyone)


def _rpcs_for_twelve(lab: RaftHarness) -> int | None:
    """None if the term did not last."""
    leader = lab.check_one_leader()
    before = _handled(lab)
    first, term, is_leader = lab.start(leader, 1)
    if not is_leader:
        return None
    commands = [lab.new_command() for _ in range(11)]
    for position, command in enumerate(commands, 1):
        index, in_term, is_leader = lab.start(leader, command)
        if in_term != term or not is_leader:
            return None
        lab.require(index == first + position, f"start gave index {index} after {first + position - 1}")
    for position, command in enumerate(commands, 1):
        applied = lab.wait(first + position, lab.size, term)
        if applied is None:
            return None
        lab.require(applied == command, f"index {first + position} holds {applied}, but {command} was started there")
    used = _handled(lab) - before
    lasted = all(lab.raft(server).get_state()[0] == term for server in lab.everyone)
    return used if lasted else None
