"""The live page: streams what running servers do to a browser, and for a local cluster takes orders from it.

Knows `diagram/` for the page, `etcd/` for HTTP and gRPC, `trace/` for what is shown. Only `cli/` knows it.
"""
