"""The README and every guide tell the truth: their code runs, prints what they say, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.docs.blocks import Reader, blocks_of, check

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]\n]*\]\((?P<to>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)


def named(page: Path) -> str:
    """A page as a reader names it."""
    return page.relative_to(ROOT).as_posix()


def anchor(heading: str) -> str:
    """A heading's anchor, as Git hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.language == "python" for b in blocks_of(p))], ids=named)
def test_a_pages_code_runs_and_prints_what_it_says(page, tmp_path):
    """Every `python`, `text` and `console` block of a page holds, read from top to bottom."""
    assert Reader(page, tmp_path).read() > 0


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_pages_links_lead_somewhere(page):
    """Every relative link names a file that exists, and a heading in it where it names one."""
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        path, _, heading = link["to"].partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{named(page)} links to {link['to']}"
        if heading:
            assert heading in {anchor(h["text"]) for h in HEADING.finditer(target.read_text(encoding="utf-8"))}, link["to"]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_pages_blocks_are_of_a_kind_that_is_checked(page):
    """No block escapes by its language: `sh` (installing) and pictures are not run, `pycon` is where the docstring stands."""
    assert {block.language for block in blocks_of(page)} <= {"python", "text", "console", "sh", "mermaid", "pycon"}


def test_ci_runs_the_readmes_test_command():
    """What the README tells a newcomer to run is what a change must pass."""
    commands = [block.code.strip() for block in blocks_of(ROOT / "README.md") if block.language == "sh"]
    last = commands[-1].rsplit("&&", 1)[1].split()[1:]
    assert last == ["-s", "tests"]
    assert "nox " + " ".join(last) in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_a_page_that_lies_is_found(tmp_path):
    """The reader itself: wrong output and wrong code are both errors."""
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n```text\n2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"page.md:5 says:\n2\nbut this was printed:\n1"):
        Reader(page, tmp_path).read()
    page.write_text("```python\nx = 1\n```\n```python\nassert x == 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        Reader(page, tmp_path).read()


def test_dots_stand_for_anything():
    """`...` in what a page prints matches what changes from run to run."""
    check("began ... ended", "began at 12:00 and ended", "here")
    with pytest.raises(AssertionError):
        check("began ... ended", "began", "here")
