"""The model that all peers ask and the client that reads them, each a process of `.venv/bench`."""
