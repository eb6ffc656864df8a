"""What happens when vendors die or are banned, and how fast."""
