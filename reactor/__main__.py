"""`python -m reactor`: the command where its script is not on PATH."""

from reactor.cli.commands import main

main()
