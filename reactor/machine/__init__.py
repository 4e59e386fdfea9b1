"""Floor 3: what follows from the facts so far, pure."""
