"""What it looks like: arrays in, picture files out. Knows no model."""
