"""The same strategy on another engine, and the first thing in which the two differ."""
