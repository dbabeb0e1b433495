"""The library: a node in your own process, and objects that every server has a copy of."""

import logging

logging.getLogger("oarlock").addHandler(logging.NullHandler())  # silent, until the program says where logs go
