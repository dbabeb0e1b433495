"""The multi-version key-value store: etcd's revisions, ranges, transactions, compaction and hashes, on LMDB."""
