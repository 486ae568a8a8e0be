"""What we are measured beside. Runs in `.venv/bench`, and knows nothing of the app."""
