"""Tests of channels that are translated, with litellm in its own process and its own environment."""
