"""What ``GET /openapi.json`` says: every path that is there, in both dialects, and nothing else."""
