"""The MIT labs' interface to Raft: our core behind it, their scenarios as a suite for anyone's Raft, and advice."""
