#!/bin/sh
# Generates *_pb2.py and *_pb2.pyi from the .proto files of src/oarlock/etcd/proto; `make proto` calls it.
# The first python3 on PATH must have grpcio-tools. Usage: scripts/generate_proto.sh [output directory, default src]
set -eu
cd "$(dirname "$0")/.."
exec python3 -m grpc_tools.protoc -Isrc --python_out="${1:-src}" --pyi_out="${1:-src}" src/oarlock/etcd/proto/*.proto
