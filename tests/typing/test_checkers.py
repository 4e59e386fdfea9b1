"""The face as both checkers see it: the model reactor is clean, every marked mistake is refused, nothing else is; and the docs hold."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ["checkout.py", "mistakes.py", "recursion.py", "recursion_deferred.py"]
PAGES = [page for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]) if any(b.language == "python" for b in blocks_of(page))]
STRICTER = "# pyright: reportDeprecated=error\n"  # beyond pyright's standard: what a reader who is strict would see


def marked(folder, mark):
    """The lines that a file's author says are refused."""
    files = {path.name: path.read_text(encoding="utf-8").splitlines() for path in folder.glob("*.py")}
    return {(name, number) for name, lines in files.items() for number, line in enumerate(lines, 1) if line.endswith(mark)}


def checked(folder, *command):
    """What a checker prints about all files of a folder, as an author's would be: with none of this project's settings."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "docs" / "examples")))
    environment = {**os.environ, "PYTHONPATH": paths, "MYPYPATH": paths}
    files = sorted(path.name for path in folder.glob("*.py"))
    command = [sys.executable, "-m", *command, *files]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


def mypy(folder):
    """(file, line) of each error that mypy finds, those in the package included."""
    told = checked(folder, "mypy", "--strict", "--config-file=", "--cache-dir", str(ROOT / ".mypy_cache" / "typing"))
    return {(file, int(line)) for file, line in re.findall(r"^(.+?):(\d+): error", told, re.MULTILINE)}


def pyright(folder):
    """(file, line) of each error that pyright finds."""
    told = json.loads(checked(folder, "pyright", "--pythonpath", sys.executable, "--outputjson"))
    errors = [one for one in told["generalDiagnostics"] if one["severity"] == "error"]
    return {(Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in errors}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_exactly_the_mistakes_are_refused(checker, tmp_path):
    """Each on its own line, with no plugin; the model reactor and the recursive ones have none."""
    for name in (*FILES, "models.py"):
        shutil.copy(HERE / name, tmp_path)
    mistakes = marked(tmp_path, "# error")
    assert len(mistakes) > 20
    assert checker(tmp_path) == mistakes


def as_module(page):
    """A page's code, each line where the page has it; a `main` is that of its block."""
    lines = []
    for number, block in enumerate(block for block in blocks_of(page) if block.language == "python"):
        lines += [""] * (block.line - 1 - len(lines))
        lines += re.sub(r"\bmain\b", f"main_{number}", block.code).splitlines()
    return "\n".join(lines) + "\n" + STRICTER


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_the_docs_are_clean_to_checkers(checker, tmp_path):
    """What a reader types along is refused where the page says so, and nowhere else."""
    for page in PAGES:
        name = "_".join(page.relative_to(ROOT).with_suffix("").parts)
        (tmp_path / f"page_{name}.py").write_text(as_module(page), encoding="utf-8")
    mistakes = marked(tmp_path, "# a type checker refuses this too")
    assert {name for name, _ in mistakes} == {"page_docs_errors.py", "page_docs_tutorial.py"}
    assert checker(tmp_path) == mistakes
