"""ASGI: the app factory, the data plane's raw routes and the operators' API."""
