"""The `reactor` command: run a reactor in this process, show its graph. It may import everything; nothing imports it.

`targets` finds the class, `inputs` builds it (`shapes` spells its types), `drive` runs it and answers Ctrl-C, `board` folds its
events into rows, `reports` and `live` draw them, `endings` says how it ended. Only `live` knows rich, which is optional.
"""

from reactor.cli.commands import main

__all__ = ["main"]
