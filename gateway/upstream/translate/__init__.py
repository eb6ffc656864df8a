"""Channels whose API is not the caller's: translated by litellm, in processes of its own."""
