"""Other names for servers, in whatever names them: cores, disks, messages, configurations in the log."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from oarlock.explore.bounds import Renaming
from oarlock.raft.messages import InstallSnapshot, Message
from oarlock.raft.types import Configuration, Entry, EntryKind, HardState, ServerId, SnapshotMetadata

_T = TypeVar("_T")


def _server(server_id: ServerId | None, renaming: Renaming) -> ServerId | None:
    return renaming[server_id - 1] if server_id else server_id


def rename(value: _T, renaming: Renaming) -> _T:
    """A value with other names for the servers."""
    renamed: Any = value
    match value:
        case Configuration():
            voters, outgoing, learners = [
                frozenset(sorted([renaming[each - 1] for each in held]))
                for held in (value.voters, value.voters_outgoing, value.learners)
            ]
            renamed = msgspec.structs.replace(value, voters=voters, voters_outgoing=outgoing, learners=learners)
        case Entry(kind=EntryKind.CONFIGURATION):
            configuration = msgspec.msgpack.decode(value.data, type=Configuration)
            renamed = msgspec.structs.replace(value, data=msgspec.msgpack.encode(rename(configuration, renaming)))
        case HardState():
            renamed = HardState(value.current_term, _server(value.voted_for, renaming))
        case SnapshotMetadata():
            renamed = msgspec.structs.replace(value, configuration=rename(value.configuration, renaming))
        case Message():
            renamed = msgspec.structs.replace(value, source=_server(value.source, renaming))
            if isinstance(renamed, InstallSnapshot):
                renamed = msgspec.structs.replace(renamed, metadata=rename(renamed.metadata, renaming))
            elif hasattr(renamed, "entries"):
                renamed = msgspec.structs.replace(renamed, entries=rename(renamed.entries, renaming))
        case tuple():
            parts = [rename(part, renaming) for part in value]
            # Named tuples keep their kind.
            renamed = type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        case _:
            pass
    return renamed  # type: ignore[no-any-return]


def rename_core(frozen: Any, renaming: Renaming, server_places: Callable[[str], tuple[int, ...]]) -> Any:  # noqa: ANN401
    """A core that was taken apart, with other names for the servers.

    Args:
        frozen: The core, or a part of it.
        renaming: The names.
        server_places: Of each class by name, where among its parts ids of servers stand. Keys of dictionaries are, too.
    """
    if type(frozen) is not tuple:
        return rename(frozen, renaming)
    name = frozen[0]
    if name == "dict":
        items = [(renaming[key - 1], rename_core(part, renaming, server_places)) for key, part in frozen[1:]]
        return ("dict", *sorted(items, key=lambda item: item[0]))
    parts = [name, *[rename_core(part, renaming, server_places) for part in frozen[1:]]]
    for place in server_places(name):
        parts[place] = _server(parts[place], renaming)
    return tuple(parts)
