"""GGUF targets: file reader, supervisor, worker process, batching loop, chat templates."""
