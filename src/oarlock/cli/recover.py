"""`oarlock recover`: after the loss of a majority, one server that was left goes on as a cluster of its own."""

import argparse
import contextlib
import logging
import secrets
import socket
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from oarlock.cli import logs
from oarlock.cli.data_copy import copy_data
from oarlock.cli.flags import FlagError
from oarlock.cli.terminal import paint
from oarlock.etcd.server import open_machine
from oarlock.mvcc.errors import MvccError
from oarlock.node.addresses import parse_address
from oarlock.node.errors import RecoveryError
from oarlock.node.quorum_loss import Survivor, examine, recover_alone
from oarlock.raft.types import EntryKind, Index, ServerId, Term
from oarlock.storage.disk import DirectoryLock, PosixDisk
from oarlock.storage.errors import StorageError
from oarlock.storage.snapshots import SnapshotStore

logger = logging.getLogger(__name__)

_CONNECT_S: Final = 0.5
_MAX_LISTED: Final = 1000
"""Entries listed one by one in JSON."""
_MAX_SHOWN: Final = 10
"""The same on a terminal."""
_KINDS: Final = {EntryKind.NOOP: "no-op", EntryKind.COMMAND: "command", EntryKind.CONFIGURATION: "members"}


class LostMember(msgspec.Struct, frozen=True):
    """A member that is given up; its id in hexadecimal."""

    id: str
    name: str
    peer_urls: tuple[str, ...]
    had_vote: bool
    answers: bool
    """Whether something accepts connections at its peer address."""


class UncertainEntry(msgspec.Struct, frozen=True):
    """An entry of the log of which nothing here shows that it was committed; kept all the same."""

    index: Index
    term: Term
    kind: str
    bytes: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What there is, and what a recovery makes of it; ids in hexadecimal."""

    data_dir: str
    server_id: str
    name: str
    cluster_id: str
    new_cluster_id: str
    term: Term
    last_index: Index
    last_term: Term
    committed_index: Index
    """Up to where entries are known to be committed."""
    revision: int
    keys: int
    had_vote: bool
    may_have_forgotten: bool
    """Whether its disk was replaced, and it had not caught up with a leader since."""
    uncertain_count: int
    uncertain: tuple[UncertainEntry, ...]
    members_given_up: tuple[LostMember, ...]
    backup: str
    """Where the copy of the data directory as it was is, or would be."""


class _Outcome(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    status: str
    """`planned`, `recovered`, or `nothing to do`."""
    plan: Plan


def recover(arguments: Sequence[str]) -> int:
    """Make a stopped server the only voter of a new cluster that goes on with its data.

    Args:
        arguments: Those after `recover`.

    Returns:
        0 when it is done, nothing was to be done, or it was only to be shown; 1 when it was refused or failed.
    """
    options = _parser().parse_args(arguments)
    logs.set_up("warn", ["stderr"], "auto")
    try:
        return _recover(options)
    except (RecoveryError, StorageError, MvccError, FlagError, ValueError) as error:
        print(f"oarlock recover: {error}", file=sys.stderr)
    except OSError as error:
        named = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"oarlock recover: {named}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oarlock recover",
        description="When the majority of a cluster is lost for good: make this stopped server, with the data it has, "
        "the only voter of a new cluster. What the lost servers alone had acknowledged is lost.",
        epilog="First look with --dry-run. Where several servers are left, recover only the one whose last term, then "
        "last index, is the highest; the others' data directories must never be started again.",
    )
    parser.add_argument("--data-dir", required=True, metavar="DIR", help="of the server; it must not be running")
    parser.add_argument("--wal-dir", metavar="DIR", help="of its log, where `serve` was given one")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what there is and what would be done; change nothing"
    )
    parser.add_argument(
        "--yes-i-lost-the-majority", action="store_true", help="do it, without asking for the cluster's id to be typed"
    )
    parser.add_argument(
        "--backup-dir", metavar="DIR", help="where the copy of the data directory goes (default: beside it)"
    )
    parser.add_argument("--force", action="store_true", help="go on although a majority seems to be running")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _recover(options: argparse.Namespace) -> int:
    directory = Path(options.data_dir)
    wal_dir = Path(options.wal_dir) if options.wal_dir else None
    disk = PosixDisk()
    with _locked(disk, directory):
        now = datetime.now(UTC)
        survivor = examine(disk, directory, wal_dir)
        plan = _plan(survivor, directory, options.backup_dir, now)
        if survivor.is_alone:
            _show(plan, "nothing to do", as_json=options.json)
            return 0
        if options.dry_run:
            _show(plan, "planned", as_json=options.json)
            return 0
        if not options.json:
            _show(plan, "planned", as_json=False)
        _refuse_if_running(plan, force=options.force)
        if not (options.yes_i_lost_the_majority or survivor.unfinished or _confirmed(plan)):
            return 1
        copy_data(directory, wal_dir, Path(plan.backup))
        origin = recover_alone(
            disk,
            directory,
            survivor,
            wal_dir=wal_dir,
            cluster_id=int(plan.new_cluster_id, 16),
            committed=plan.committed_index,
            at=now.isoformat(timespec="seconds"),
        )
    logger.warning(
        "server %s is the only voter of cluster %x now, and cluster %s is given up: %d members were left behind, and "
        "what they alone held is lost. The data directory as it was is in %s",
        plan.server_id,
        origin.cluster_id,
        plan.cluster_id,
        len(plan.members_given_up),
        plan.backup,
    )
    if options.json:
        _show(plan, "recovered", as_json=True)
    else:
        print(f"\n{paint('Recovered.', 'green')} Start the server with the flags it had, then add members:")
        print("  etcdctl member add NAME --peer-urls=URL --learner")
        print("Never start the members given up with the data they have.")
    return 0


@contextlib.contextmanager
def _locked(disk: PosixDisk, directory: Path) -> Iterator[DirectoryLock]:
    if not directory.is_dir():
        raise RecoveryError(f"there is no directory {directory}")
    lock = disk.lock_directory(directory)
    try:
        yield lock
    finally:
        lock.release()


def _plan(survivor: Survivor, directory: Path, backup_dir: str | None, now: datetime) -> Plan:
    identity = survivor.identity
    server_id = identity.server_id
    new_cluster_id = survivor.unfinished.cluster_id if survivor.unfinished else secrets.randbits(63) | 1 << 63
    names: dict[ServerId, str] = {}
    revision = keys = durable = 0
    if (directory / "db" / "CURRENT").exists():
        machine = open_machine(directory / "db", server_id)
        durable, revision = machine.durable_index(), machine.store.current_revision
        keys = machine.store.index.count(b"\0", b"\0")
        names = {member_id: member.name for member_id, member in machine.members.items()}
        machine.store.close()
    _refuse_unfit(survivor, directory, durable)
    committed = max(survivor.base.last_included_index, durable)
    uncertain = survivor.entries_after(committed)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    backup = Path(backup_dir) if backup_dir else directory.absolute().parent
    return Plan(
        data_dir=str(directory),
        server_id=f"{server_id:x}",
        name=names.get(server_id, ""),
        cluster_id=f"{identity.cluster_id:x}",
        new_cluster_id=f"{new_cluster_id:x}",
        term=survivor.hard_state.current_term,
        last_index=survivor.last_index,
        last_term=survivor.last_term,
        committed_index=committed,
        revision=revision,
        keys=keys,
        had_vote=server_id in survivor.configuration.all_voters,
        may_have_forgotten=survivor.may_have_forgotten,
        uncertain_count=len(uncertain),
        uncertain=tuple(
            UncertainEntry(entry.index, entry.term, _KINDS[entry.kind], len(entry.data))
            for entry in uncertain[:_MAX_LISTED]
        ),
        members_given_up=tuple(
            LostMember(
                f"{gone.server_id:x}",
                names.get(gone.server_id, ""),
                gone.addresses,
                gone.had_vote,
                any(map(_accepts, gone.addresses)),
            )
            for gone in survivor.given_up()
        ),
        backup=str(backup / f"{directory.absolute().name}.before-recovery-{stamp}"),
    )


def _refuse_unfit(survivor: Survivor, directory: Path, durable: Index) -> None:
    """See that a start will find log and data to fit; else another survivor, or a backup, is the better choice.

    Raises:
        RecoveryError: They do not.
    """
    if durable > survivor.last_index:
        raise RecoveryError(
            f"the data in {directory} stand at entry {durable}, but the log ends at {survivor.last_index}: the log was "
            f"lost; a recovery cannot go on from here"
        )
    base = survivor.base.last_included_index
    if durable < base:
        store = SnapshotStore(PosixDisk(), directory / "snapshots")
        held = [stored.metadata.last_included_index for stored in store.snapshots()]
        store.close()
        if not any(index >= base for index in held):
            raise RecoveryError(
                f"the log in {directory} begins after entry {base}, but the data stand at {durable}, and no snapshot "
                f"leads from there to the log; a recovery cannot go on from here"
            )


def _accepts(address: str) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection(parse_address(address), _CONNECT_S):
            return True
    except (OSError, ValueError):
        return False


def _refuse_if_running(plan: Plan, *, force: bool) -> None:
    voters = [member for member in plan.members_given_up if member.had_vote]
    running = [member for member in voters if member.answers]
    needed = (len(voters) + plan.had_vote) // 2 + 1
    for member in running:
        logger.warning(
            "member %s %s accepts connections at %s: is it really lost?",
            member.id,
            member.name,
            ", ".join(member.peer_urls),
        )
    if len(running) + plan.had_vote >= needed and not force:
        raise RecoveryError(
            f"nothing was changed: {len(running) + plan.had_vote} of {len(voters) + plan.had_vote} voters seem to be "
            f"there, so the majority is not lost: start this server. Or stop the others for good; or, where something "
            f"else answers at their addresses, give --force"
        )


def _confirmed(plan: Plan) -> bool:
    if not sys.stdin.isatty():
        print(
            "oarlock recover: nothing was changed; to go on give --yes-i-lost-the-majority, or run it in a terminal",
            file=sys.stderr,
        )
        return False
    typed = input(f"\nTo give these members up for good, type the id of their cluster, {plan.cluster_id}: ")
    if typed.strip() == plan.cluster_id:
        return True
    print("oarlock recover: nothing was changed: that is not the cluster's id", file=sys.stderr)
    return False


def _show(plan: Plan, status: str, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(_Outcome(status, plan))).decode())
        return
    who = f"{plan.name} ({plan.server_id})" if plan.name else plan.server_id
    print(f"Server {paint(who, 'bold')} of cluster {plan.cluster_id}, in {plan.data_dir}")
    print(f"  log    ends at entry {plan.last_index} of term {plan.last_term}; current term {plan.term}")
    print(f"  data   revision {plan.revision}, {plan.keys} keys, committed up to entry {plan.committed_index} at least")
    if status == "nothing to do":
        print("It is the only member of its cluster already: there is nothing to do.")
        return
    if plan.uncertain_count:
        print(f"  {plan.uncertain_count} entries are not known to be committed; they are kept, and take effect:")
        for entry in plan.uncertain[:_MAX_SHOWN]:
            print(f"    {entry.index} of term {entry.term}: {entry.kind}, {entry.bytes} bytes")
        if plan.uncertain_count > _MAX_SHOWN:
            print(f"    ... and {plan.uncertain_count - _MAX_SHOWN} more")
    print(paint("Lost for good: whatever was acknowledged after the last entry here.", "red"))
    if not plan.had_vote:
        print(paint("This server had no vote: it may lack more than a voter would.", "red"))
    if plan.may_have_forgotten:
        print(paint("Its disk was replaced, and it had not caught up: it may lack much.", "red"))
    print("Given up:")
    for member in plan.members_given_up:
        role = "voter" if member.had_vote else "learner"
        answers = paint(", but something ANSWERS there", "red") if member.answers else ""
        print(f"  {member.name or '(no name)'} ({member.id}), {role}, at {', '.join(member.peer_urls)}{answers}")
    print(f"It becomes the only voter of the new cluster {plan.new_cluster_id}.")
    print(f"A copy of the directory as it is goes to {plan.backup}")
