"""One loop for every request: decide → plan → perform → feed back → audit."""
