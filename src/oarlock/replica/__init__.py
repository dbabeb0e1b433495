"""The library: a node in your own process, and objects that every server has a copy of."""
