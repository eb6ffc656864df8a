"""What is wrong, or will be when it counts, with a configuration and what it names. Pure."""
