"""The generated code is what the .proto files say, and every method of etcd's API is known."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oarlock.etcd.proto import rpc_pb2
from oarlock.etcd.services.unimplemented import every_method

ROOT = Path(__file__).parents[2]
PACKAGE = Path("oarlock/etcd/proto")


def generated(directory: Path) -> dict[str, str]:
    """Generated files by name."""
    return {
        path.name: path.read_text()
        for path in sorted(directory.iterdir())
        if path.name.endswith(("_pb2.py", "_pb2.pyi"))
    }


def test_generated_code_is_current(tmp_path: Path) -> None:
    """Generating again gives the committed files."""
    pytest.importorskip("grpc_tools", reason="grpcio-tools generates the code; install the extra `proto`")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    subprocess.run(["scripts/generate_proto.sh", str(tmp_path)], cwd=ROOT, env=os.environ | {"PATH": path}, check=True)
    assert generated(tmp_path / PACKAGE) == generated(ROOT / "src" / PACKAGE)


def test_every_method_of_the_api_is_known() -> None:
    """The services are those of etcd 3.5, with their methods."""
    services: dict[str, int] = {}
    for path in every_method():
        service = path.split("/")[1]
        services[service] = services.get(service, 0) + 1
    assert services == {
        "etcdserverpb.KV": 5,
        "etcdserverpb.Watch": 1,
        "etcdserverpb.Lease": 5,
        "etcdserverpb.Cluster": 5,
        "etcdserverpb.Maintenance": 8,
        "etcdserverpb.Auth": 17,
        "v3lockpb.Lock": 2,
        "v3electionpb.Election": 5,
    }


def test_a_message_in_known_bytes() -> None:
    """One request and one answer, as etcdctl and etcd put them on the wire."""
    request = rpc_pb2.RangeRequest.FromString(bytes.fromhex("0a036162631203616264180520014001"))
    assert (request.key, request.range_end, request.limit, request.revision) == (b"abc", b"abd", 5, 1)
    assert request.keys_only
    compare = rpc_pb2.Compare(key=b"k", mod_revision=7, target=2, result=0, range_end=b"l")
    assert compare.SerializeToString().hex() == "10021a016b3007820401" + b"l".hex()
