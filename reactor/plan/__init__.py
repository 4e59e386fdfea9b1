"""What follows from the graph alone: the compiled plan, its pictures and its fingerprint."""
