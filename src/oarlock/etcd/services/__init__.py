"""The services of etcd's client API, as handlers for the gRPC server."""
