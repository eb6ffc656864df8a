"""What in files and logs tells a vendor: names of packages, hosts, settings, keys and images."""
