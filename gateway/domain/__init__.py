"""Frozen types that cross rooms. Nothing here does I/O or knows a file format."""
