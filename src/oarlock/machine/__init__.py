"""What a replicated state machine must offer, and exactly-once application of commands."""
