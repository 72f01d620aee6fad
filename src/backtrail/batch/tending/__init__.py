"""Tending a run store: deleting runs, archiving them, handing them to other tools."""
