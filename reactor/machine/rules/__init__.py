"""One file a rule; none imports another."""
