"""Decisions to a plan, and what follows from each failure. Pure: ``now`` is an argument."""
