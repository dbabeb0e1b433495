"""What happened, as data: the trace `raft-trace/1`, its recorder, writer, reader and merge, and what to ask of it.

Lowest floor, like `raft/`, which it watches without importing it: a core is seen through its attributes alone.
"""
