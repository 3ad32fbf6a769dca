"""What a producer counts and times, and the HTTP endpoint that serves it to Prometheus."""
