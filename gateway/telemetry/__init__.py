"""What the process tells of itself."""
