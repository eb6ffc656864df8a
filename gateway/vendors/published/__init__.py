"""Lists that authorities publish, read from bytes into rows that can be matched with vendors."""
