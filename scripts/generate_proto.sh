#!/bin/sh
# Generates *_pb2.py and *_pb2.pyi from the .proto files of src/oarlock/etcd/proto; `make proto` calls it.
# The first python3 on PATH must have grpcio-tools. Usage: scripts/generate_proto.sh [output directory, default src]
set -eu
cd "$(dirname "$0")/.."
out=${1:-src}
python3 -m grpc_tools.protoc -Isrc --python_out="$out" --pyi_out="$out" src/oarlock/etcd/proto/*.proto

# The generated modules refuse any protobuf older than the generator's. Ours are plain descriptors, which every
# release since 5.26 reads, so the check goes, and with it the generator's version.
for module in "$out"/oarlock/etcd/proto/*_pb2.py; do
  sed -e '/^# Protobuf Python Version/d' \
    -e '/^from google.protobuf import runtime_version/d' \
    -e '/^_runtime_version\./,/^)/d' "$module" >"$module.new"
  mv "$module.new" "$module"
done
