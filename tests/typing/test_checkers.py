"""The face as both checkers see it: the model reactor is clean, and every marked mistake is refused, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ["checkout.py", "mistakes.py", "recursion.py", "recursion_deferred.py"]


def marked():
    """The lines of the mistakes."""
    lines = (HERE / "mistakes.py").read_text(encoding="utf-8").splitlines()
    return {("mistakes.py", number) for number, line in enumerate(lines, 1) if line.endswith("# error")}


def checked(folder, *command):
    """What a checker prints about the files alone in a folder, as an author's would be: with none of this project's settings."""
    for name in (*FILES, "models.py"):
        shutil.copy(HERE / name, folder)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT)}
    command = [sys.executable, "-m", *command, *FILES]
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
    """Each on its own line, with no plugin; the model reactor has none."""
    assert len(marked()) > 20
    assert checker(tmp_path) == marked()
