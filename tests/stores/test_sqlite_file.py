"""Opening a file: what is wrong with it is said at once, and nothing of it is changed."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from reactor.errors import StoreUnavailable
from reactor.record.store import Appended
from reactor.stores.sqlite import SqliteStore
from reactor.stores.sqlite_file import VERSION
from tests.stores.filling import append_of, driven, held, opened, outside, record

pytestmark = pytest.mark.anyio
NOBODY = 65534


@pytest.fixture
def shown():
    """A folder that every user may enter, and only its owner may write."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def as_a_plain_user():
    """Root may write anything: be somebody else for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


async def refusal(path, **options) -> str:
    """The code of the error that opening raises; it names the file, and one fix."""
    with pytest.raises(StoreUnavailable) as caught:
        await SqliteStore.open(path, **options)
    assert str(path) in caught.value.what
    assert caught.value.fix
    return caught.value.code


async def test_a_file_that_is_not_there_is_made(tmp_path):
    """The first use makes it, with its tables."""
    async with opened(tmp_path / "runs.db") as store:
        await store.create(record("shop:1"))
    async with opened(tmp_path / "runs.db") as store:
        assert await store.counts() == {"queued": 1}


async def test_an_empty_file_is_as_none(tmp_path):
    """`touch runs.db` makes no difference."""
    (tmp_path / "runs.db").touch()
    async with opened(tmp_path / "runs.db") as store:
        assert await store.counts() == {}


async def test_a_folder_that_is_not_there_is_named(tmp_path):
    """It is not made: a wrong path must not grow folders."""
    assert await refusal(tmp_path / "none" / "runs.db") == "store-no-folder"
    assert not list(tmp_path.iterdir())


async def test_a_folder_is_no_file(tmp_path):
    """What cannot be opened is an error of ours, not SQLite's."""
    assert await refusal(tmp_path) == "store-unavailable"


@pytest.mark.parametrize("content", [b"to whom it may concern: " * 500, b"\x00" * 5000])
async def test_a_file_that_is_no_database_is_left_alone(tmp_path, content):
    """Neither text nor zeros are taken over."""
    path = tmp_path / "runs.db"
    path.write_bytes(content)
    assert await refusal(path) == "store-foreign"
    assert path.read_bytes() == content


async def test_a_database_of_another_program_is_left_alone(tmp_path):
    """Tables that are not ours stay alone."""
    path = tmp_path / "runs.db"
    with outside(path) as connection:
        connection.execute("CREATE TABLE heads (id INTEGER)")
    assert await refusal(path) == "store-foreign"
    with outside(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


async def test_a_file_of_a_newer_release_is_left_alone(tmp_path):
    """Old code does not write what it does not know."""
    path = tmp_path / "runs.db"
    async with opened(path) as store:
        await store.create(record("shop:1"))
    with outside(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    assert await refusal(path) == "store-newer"


async def test_a_read_only_file_is_refused_when_it_is_opened(shown):
    """Not at the first write, when a run is under way."""
    path = shown / "runs.db"
    async with opened(path):
        pass
    path.chmod(0o444)
    with as_a_plain_user():
        assert await refusal(path) == "store-read-only"


async def test_a_read_only_folder_is_refused_when_it_is_opened(shown):
    """SQLite needs to write beside the file."""
    shown.chmod(0o555)
    with as_a_plain_user():
        assert await refusal(shown / "runs.db") == "store-read-only"


async def test_a_file_that_cannot_keep_a_log_is_refused():
    """Without a log beside it, readers would wait for writers: memory has none."""
    assert await refusal(":memory:") == "store-no-log"


async def test_opening_waits_for_a_bounded_time(tmp_path):
    """A file that another program holds for ever is an error."""
    path = tmp_path / "runs.db"
    async with opened(path):
        pass
    with held(path):
        assert await refusal(path, patience=0.05) == "store-busy"
    async with opened(path, patience=0.05):
        pass


async def test_damaged_pages_are_an_error_of_their_own(tmp_path):
    """Garbage in the middle of the file is never taken for runs."""
    path = tmp_path / "runs.db"
    async with opened(path) as store:
        claimed = await driven(store)
        for seq in range(200):
            assert isinstance(await store.append(append_of(claimed, seq, bytes(1000))), Appended)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(b"\xa5" * (len(content) - 4096)))
    with pytest.raises(StoreUnavailable) as caught:
        async with opened(path) as store:
            await store.load("shop:1")
    assert caught.value.code == "store-corrupt"


async def test_a_file_that_was_cut_off_is_an_error_of_its_own(tmp_path):
    """Half a copy is no store."""
    path = tmp_path / "runs.db"
    async with opened(path) as store:
        claimed = await driven(store)
        for seq in range(200):
            await store.append(append_of(claimed, seq, bytes(1000)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreUnavailable) as caught:
        async with opened(path) as store:
            await store.load("shop:1")
    assert caught.value.code == "store-corrupt"


async def test_what_a_kill_leaves_beside_the_file_is_read(tmp_path):
    """A copy of file and log, taken while the store is open, opens with all that was acknowledged."""
    path, copy = tmp_path / "runs.db", tmp_path / "copy.db"
    async with opened(path) as store:
        claimed = await driven(store)
        await store.append(append_of(claimed, 0, b"one"))
        shutil.copy(path, copy)
        shutil.copy(f"{path}-wal", f"{copy}-wal")
    async with opened(copy) as store:
        assert (await store.load("shop:1")).events == (b"one",)
