"""The Raft algorithm, pure: no I/O, no clock, no randomness of its own, laid out as the paper's Figure 2 is."""
