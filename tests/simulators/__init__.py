"""Vendors that misbehave on request, over real sockets."""
