"""Floor 4: what must survive a crash."""
