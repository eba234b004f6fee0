"""What this machine does: how fast models train on it, and whether rightly."""
