"""What any release wrote, this one reads: facts of every kind, whole runs, definitions, inputs."""

from __future__ import annotations

import pytest

from reactor.record import facts
from tests.record.golden import events
from tests.record.golden.samples import SAMPLES


@pytest.mark.parametrize("release", events.releases())
def test_every_fact_of_a_release_reads_as_it_did(release):
    """Every kind that it knew, its fields as they were and those that came since at their defaults, its value byte for byte."""
    for line in events.read(release):
        fact, value = facts.decode(bytes.fromhex(line["bytes"]))
        assert type(fact).__name__ == line["kind"]
        assert events.has_grown_from(events.plain(fact), line["fields"]), line["kind"]
        assert value.hex() == line["value"]


def test_the_latest_set_is_what_is_written_now():
    """A change of form shows here: an appended field needs a new set; one that moved, went or changed its type breaks old records."""
    path = events.FOLDER / events.releases()[-1] / "events.jsonl"
    assert path.read_text(encoding="utf-8").splitlines() == events.lines(), (
        "facts are written in another form: `python -m tests.record.golden.write`, and see CONTRIBUTING.md"
    )


def test_the_latest_set_knows_every_kind():
    """So that a new kind cannot be forgotten."""
    assert {line["kind"] for line in events.read(events.releases()[-1])} == {kind.__name__ for kind in facts.KNOWN.values()}
    assert {type(sample) for sample in SAMPLES} == set(facts.KNOWN.values())
