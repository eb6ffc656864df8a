"""Canaries: what local models would have answered, asked of them for readiness only."""
