"""Answers that are kept, so that a later request can follow them."""
