"""The app database: the app's own record of conversations, turns, feedback and deliveries."""
