"""Messages between servers: framing, handshake, TCP, TLS."""
