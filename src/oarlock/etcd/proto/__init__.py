"""etcd's messages: .proto files of our own, wire compatible with etcd 3.5, and the code generated from them.

The package names carry a prefix of ours, which the wire never sees, so that a process may load an etcd
client's generated code beside this one.
"""
