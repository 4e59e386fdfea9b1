"""What an author says: every word of a reactor class, and what is taken down of it (see `definition.py`)."""
