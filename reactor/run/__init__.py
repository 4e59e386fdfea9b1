"""Floor 5: driving."""
