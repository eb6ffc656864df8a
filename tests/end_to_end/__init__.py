"""The gateway as its users meet it: real processes, sockets, model, SDK and command line."""
