"""What apps may rely on, as tables: tests go by them, and docs/surfaces.md is written from them."""
