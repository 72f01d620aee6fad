"""The rebuildable index of all runs."""
