"""The production storage on the simulator's disk, without core, node and network: the fast first stage for its bugs."""
