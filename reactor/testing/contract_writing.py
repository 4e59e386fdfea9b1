"""The contract, writing: a run is created once, and only who holds its token appends to it."""

from __future__ import annotations

from reactor.record.store import Created, Loaded
from reactor.testing.contract_ground import Ground, Laws, equal, is_a, record_of

laws = Laws()


@laws.add()
async def one_of_a_hundred_creates_a_run(ground: Ground) -> None:
    """Of a hundred that create the same name at once, one creates it; the others get the record that is there."""
    stores = await ground.handles(4)
    answers = await ground.at_once(
        [lambda n=n: stores[n % 4].create(record_of("shop:1", inputs=str(n).encode())) for n in range(100)]  # type: ignore[misc]
    )
    made = [number for number, answer in enumerate(answers) if isinstance(answer, Created)]
    equal(len(made), 1, "how many created it")
    joined = {is_a(answer, Loaded).inputs for answer in answers if not isinstance(answer, Created)}
    equal(joined, {str(made[0]).encode()}, "the inputs that the others saw")
