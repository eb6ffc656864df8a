"""Tests of channels that are translated, with the real litellm in its process."""
