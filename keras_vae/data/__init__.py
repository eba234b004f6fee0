"""What is trained on: datasets, checked at the door, and the way they reach a step."""
