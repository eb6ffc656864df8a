"""The record that an auditor reads: one for each request, whatever became of it."""
