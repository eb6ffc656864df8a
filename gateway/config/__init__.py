"""The only reader of files: settings, policy, manifests, positions of errors, watching."""
