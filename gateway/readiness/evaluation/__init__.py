"""The operator's own prompts with what their answers must be: read, checked, judged and counted."""
