"""Several cores on a simulated network, without node, files and sockets: the fast first stage of a hunt."""
