"""What a step costs, beside a hand-written scheduler and beside peers, measured in one run.

This room refuses to trust a figure from another day: both sides of every ratio are timed in turns, in the same process.
Run it: `nox -s bench`, or `python -m benchmarks --help`.
"""
