"""What goes wrong with a Redis, as whoever calls is told: the cause, and one fix. It refuses to know what was asked."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple

from redis.exceptions import AuthenticationError, InvalidResponse

from reactor.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSING = {  # what is over after a while: its words, what it means, the fix
    "LOADING": ("it is still reading its data", "wait until it has: asking again is safe"),
    "READONLY": ("it is a replica, and takes no writes", "name the primary in the URL"),
    "MISCONF": ("it cannot write to its disk, and takes no writes", "see its log: make room, or mend the folder's rights"),
    "MASTERDOWN": ("its primary is away", "see that the primary runs: asking again is safe"),
    "CLUSTERDOWN": ("its cluster is down", "see to the cluster: asking again is safe"),
    "TRYAGAIN": ("its cluster moves slots", "wait until it has: asking again is safe"),
    "BUSY": ("a script of others keeps it from answering", "end it with SCRIPT KILL: asking again is safe"),
    "NOREPLICAS": ("it has too few replicas to take writes", "see to the replicas: asking again is safe"),
}
CREDENTIALS = ("NOAUTH", "WRONGPASS", "NOPERM", "invalid username-password", "invalid password", "Authentication required")
REFUSED = f"[Errno {errno.ECONNREFUSED}]"  # of several addresses, asyncio joins the words
DATABASE = ("DB index is out of range", "invalid DB index", "Invalid Database")
DAMAGE = ("WRONGTYPE", "user_script")  # our scripts fail on nothing that they wrote


class Trouble(NamedTuple):
    """What is wrong and how it is mended. `lasts`: asking again, with nothing changed, is in vain."""

    what: str
    fix: str
    code: str = "store-unavailable"
    lasts: bool = True


def trouble_of(error: BaseException) -> Trouble:
    """What an error of a connection says.

    >>> trouble_of(ConnectionRefusedError(111, "Connection refused"))[0]
    'the connection was refused'
    >>> trouble_of(TimeoutError("no answer in 5 s")).lasts
    False
    """
    chain = list(_chain(error))
    for one in chain:
        found = _of_words(one) or _of_kind(one)
        if found is not None:
            return found
    fix = "see that it runs and that the URL is right; asking again is safe"
    return Trouble(next(filter(None, map(str, chain)), type(error).__name__), fix, lasts=False)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it came of."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _of_words(error: BaseException) -> Trouble | None:
    """What the server said."""
    said = str(error)
    if isinstance(error, AuthenticationError) or said.startswith(CREDENTIALS):
        return Trouble(
            f"it refuses the user or password ({said})", "say them in the URL: redis://user:password@host:6379/0", code="store-login"
        )
    if any(words in said for words in DATABASE):
        return Trouble(f"it has no such database ({said})", "say one that it has: redis://host:6379/0", code="store-no-database")
    for word, (what, fix) in PASSING.items():
        if said.startswith(word):
            return Trouble(f"{what} ({said})", fix, lasts=False)
    return None


def _of_kind(error: BaseException) -> Trouble | None:
    """What the machine said."""
    match error:
        case socket.gaierror():
            return Trouble(f"its host is not known ({error.strerror})", "mend the host in the URL", lasts=error.errno != socket.EAI_AGAIN)
        case ssl.SSLError():
            fix = "say redis:// where the server speaks no TLS, or name its authority: ?ssl_ca_certs=/path"
            return Trouble(f"TLS failed ({error})", fix)
        case FileNotFoundError():
            return Trouble("there is no socket at that path", "start the server, or mend the path in the URL")
        case PermissionError():
            return Trouble("this user may not open its socket", "let this user write to the socket")
        case InvalidResponse():
            return Trouble(f"what answers there is no Redis ({error})", "mend host and port in the URL")
        case OSError() if isinstance(error, ConnectionRefusedError) or REFUSED in str(error):
            return Trouble("the connection was refused", "start the server, or mend host and port in the URL")
    return None


def unreachable(where: str, error: BaseException) -> StoreUnavailable:
    """What a caller is told where the server did not answer in time, or at all."""
    trouble = trouble_of(error)
    fix = "see that it runs, and that it speaks TLS there" if where.startswith("rediss:") and not trouble.lasts else trouble.fix
    told = StoreUnavailable(f"the Redis at {where} cannot be used: {trouble.what}", code=trouble.code, fix=fix)
    told.__cause__ = error if isinstance(error, Exception) else None
    return told


def met(said: str) -> str:
    """What a script met with, where the server tells of the script as well, as Redis 6.2 does.

    >>> met("ERR Error running script (call to f_5f): @user_script:7: @user_script: 7: -OOM command not allowed")
    'OOM command not allowed'
    """
    found = re.search(r"^ERR Error running script .*: -([A-Z]+ .*)", said, re.DOTALL)
    return said if found is None else found[1]


def refusal(where: str, said: str) -> StoreUnavailable:
    """What a caller is told where the server answers with an error."""
    if said.startswith("OOM"):
        fix = "raise `maxmemory`, or drop old runs sooner"
        return StoreUnavailable(f"the Redis at {where} is out of memory and takes no writes; nothing was lost", code="store-full", fix=fix)
    if any(word in said for word in DAMAGE):
        return StoreUnavailable(f"a record is damaged: {said}", code="store-corrupt", fix="keep a copy, and bring back a backup")
    if said.startswith(CREDENTIALS):
        fix = "let its user run all commands but @admin and @dangerous, and INFO, on the keys rx:*"
        return StoreUnavailable(f"the Redis at {where} forbids what a store needs: {said}", code="store-login", fix=fix)
    return StoreUnavailable(f"the Redis at {where} refused: {said}", fix="see what it says; nothing of this was written")
