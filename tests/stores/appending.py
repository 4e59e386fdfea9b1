"""A process that appends to a store in a file as fast as it can, and says what was acknowledged: killed by its tests.

    python appending.py PATH NAME WRITERS APPENDS

Each writer has a run `shop:NAME-n`, whose event n is its number in decimal, and with each tells `shop:sum-NAME` of it. A line
`run seq` goes out for each append that was answered, before the next is asked.
"""

import asyncio
import os
import sys

from reactor.record.store import Append, Appended, Message, NewRecord
from reactor.stores.sqlite import SqliteStore


async def write(store: SqliteStore, session: str, run: str, total: str, appends: int) -> None:
    """Append until killed, or done."""
    await store.create(NewRecord(run=run, root=total, reactor="shop"))
    claimed = await store.claim_run(session, run)
    for seq in range(appends):
        told = ((total, Message("settled", f"{run} {seq + 1}".encode())),)
        asked = Append(run=run, token=claimed.token, seq=seq, op=f"op {seq}", events=(b"%d" % (seq + 1),), status="running", messages=told)
        answer = await store.append(asked)
        assert answer == Appended(seq + 1, answer.at)
        os.write(1, f"{run} {answer.seq}\n".encode())


async def main(path: str, name: str, writers: int, appends: int) -> None:
    """All writers at once."""
    store = await SqliteStore.open(path)
    await store.open_session(name, 1000)
    await store.create(NewRecord(run=f"shop:sum-{name}", root=f"shop:sum-{name}", reactor="shop"))
    await asyncio.gather(*[write(store, name, f"shop:{name}-{n}", f"shop:sum-{name}", appends) for n in range(writers)])
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
