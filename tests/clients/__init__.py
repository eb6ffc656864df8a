"""Apps on the clients that people use, in front of a running gateway: `make test-conformance`."""
