"""Cloud and sovereign targets: the egress guard, connections, and the relay."""
