"""What is known before a ban: what would move, and whether local will hold."""
