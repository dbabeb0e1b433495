"""`oarlock restore`: from a backup to the data directory of one member of a new cluster."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from google.protobuf.message import DecodeError

from oarlock.cli import logs
from oarlock.cli.flags import FlagError
from oarlock.cli.settings import ServeSettings, read_settings
from oarlock.cli.terminal import paint
from oarlock.etcd.restored import Content, RestoreError, Wanted
from oarlock.etcd.restored import restore as restore_directory
from oarlock.mvcc.errors import MvccError
from oarlock.storage.errors import StorageError

_AS_SERVE = ("name", "data-dir", "wal-dir", "initial-cluster", "initial-cluster-token", "initial-advertise-peer-urls")
"""Flags that mean what they mean to `oarlock serve`, which is to be given the same."""


def restore(arguments: Sequence[str]) -> int:
    """Make a data directory from the file that `etcdctl snapshot save` wrote.

    Args:
        arguments: Those after `restore`.

    Returns:
        0 when it is there, 1 when it was refused or failed, 2 for flags that cannot be used.
    """
    options = _parser().parse_args(arguments)
    logs.set_up("warn", ["stderr"], "auto")
    try:
        settings = _settings(options)
        wanted = Wanted(
            server_id=settings.server_id,
            members={member.id: tuple(url.text for url in member.peer_urls) for member in settings.members},
            skip_hash_check=options.skip_hash_check,
            bump_revision=options.bump_revision,
            without_auth=options.without_auth,
        )
    except FlagError as error:
        print(f"oarlock restore: {error}", file=sys.stderr)
        return 2
    wal_dir = Path(settings.wal_dir) if settings.wal_dir else None
    try:
        content = restore_directory(Path(options.snapshot), Path(settings.data_dir), wal_dir, wanted, datetime.now(UTC))
    except (RestoreError, MvccError, StorageError, ValueError, DecodeError) as error:
        print(f"oarlock restore: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"oarlock restore: {error.filename or options.snapshot}: {error.strerror}", file=sys.stderr)
        return 1
    _show(settings, content, as_json=options.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oarlock restore",
        description="Make the data directory of one member of a new cluster from a file of `etcdctl snapshot save`, of "
        "Oarlock or of etcd. Do this for each member, with the same file; then start each with the same flags.",
    )
    parser.add_argument("snapshot", metavar="FILE", help="the backup")
    parser.add_argument("--name", help="of this member (default: default)")
    parser.add_argument("--data-dir", metavar="DIR", help="must not exist, or be empty (default: NAME.etcd)")
    parser.add_argument("--wal-dir", metavar="DIR", help="of the log, if it is to be elsewhere; the same")
    parser.add_argument(
        "--initial-cluster", metavar="NAME=URL,...", help="all members and their peer URLs (default: this one alone)"
    )
    parser.add_argument("--initial-cluster-token", metavar="TOKEN", help="keeps clusters with equal URLs apart")
    parser.add_argument("--initial-advertise-peer-urls", metavar="URL,...", help="this member's peer URLs")
    parser.add_argument(
        "--skip-hash-check",
        action="store_true",
        help="take a file without a SHA-256 at its end",
    )
    parser.add_argument(
        "--bump-revision",
        type=int,
        default=0,
        metavar="N",
        help="raise the revision by N; all before is compacted",
    )
    parser.add_argument("--mark-compacted", action="store_true", help="etcd's, goes with --bump-revision; implied here")
    parser.add_argument("--without-auth", action="store_true", help="restore although authentication gets lost")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _settings(options: argparse.Namespace) -> ServeSettings:
    """What `serve` makes of the same flags.

    Raises:
        FlagError: They cannot be used.
    """
    if options.bump_revision < 0:
        raise FlagError(f"--bump-revision must not be below 0, as {options.bump_revision} is")
    if options.mark_compacted and not options.bump_revision:
        raise FlagError("--mark-compacted needs --bump-revision")
    values = {flag: getattr(options, flag.replace("-", "_")) for flag in _AS_SERVE}
    return read_settings([f"--{flag}={value}" for flag, value in values.items() if value is not None], {})


def _show(settings: ServeSettings, content: Content, *, as_json: bool) -> None:
    if as_json:
        found = msgspec.structs.asdict(content) | {
            "cluster_id": f"{content.cluster_id:x}",
            "server_id": f"{settings.server_id:x}",
            "data_dir": settings.data_dir,
        }
        print(json.dumps(found, indent=2))
        return
    print(
        f"{paint('Restored', 'green')} revision {content.revision}, {content.keys} keys, HashKV {content.hash}, into "
        f"{settings.data_dir}"
    )
    print(f"Member {settings.name} ({settings.server_id:x}) of the new cluster {content.cluster_id:x}")
    if len(settings.members) > 1:
        others = ", ".join(member.name for member in settings.members if member.id != settings.server_id)
        print(f"Restore {others} from the same file too; then start all with the flags given here.")
