"""Ways onto several processes and machines: Ray Serve, Docker Compose, Kubernetes."""
