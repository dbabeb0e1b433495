"""The services of the later labs, on anybody's Raft: the replicated state machine, key-value stores, shards."""
