"""Dialects: bytes to domain types and back. No I/O."""
