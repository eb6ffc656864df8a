"""Sovereign Gateway: vendors by policy, local models when a vendor is gone."""

__version__ = "0.1.0"
