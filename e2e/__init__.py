"""End-to-end tests: the whole app in a real browser and over real sockets."""
