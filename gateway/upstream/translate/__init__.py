"""Channels whose API is another than the caller's: translated by litellm, in processes of its own."""
