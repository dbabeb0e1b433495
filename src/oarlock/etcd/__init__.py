"""The etcd v3 front door: HTTP/2, gRPC, services."""
