"""Numbers that the windows agree on."""

SHORTEST_WINDOW = 2
