"""The runtime: the Structure Advice as asyncio tasks around one Raft."""
