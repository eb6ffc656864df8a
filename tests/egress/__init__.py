"""What leaves the gateway: to whom, when, and whether policy allowed it at that instant."""
