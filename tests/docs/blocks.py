"""Run the code of a Markdown page as a reader would: top to bottom, each block knowing those before it.

- `python` runs in one module a page. Is its first line a comment with a file's name, it is saved there and imported instead.
- `text` right after it is what it prints; `...` stands for anything.
- `console`: each `$ command` runs where the files were saved; the lines under it are what it prints.
- `sh` is not run: what it installs is tried by `nox -s package` and by a reader.

`python blocks.py README.md` does the same with nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import linecache
import os
import re
import subprocess
import sys
import tempfile
import types
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"\A# (?P<name>\w+\.py)\n")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `line` is that of its first line of code."""

    language: str
    code: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """The page's fenced blocks, in order."""
    text = page.read_text(encoding="utf-8")
    return [Block(m["language"], m["code"], text.count("\n", 0, m.start("code")) + 1) for m in FENCE.finditer(text)]


def check(expected: str, printed: str, where: str) -> None:
    """What was printed is what the page says, `...` aside."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if not doctest.OutputChecker().check_output(expected.rstrip() + "\n", printed.rstrip() + "\n", flags):
        raise AssertionError(f"{where} says:\n{expected.rstrip()}\nbut this was printed:\n{printed.rstrip()}")


class Reader:
    """One page being read, in a folder of its own."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page, self.folder = page.resolve(), folder
        self.module = types.ModuleType("page_" + re.sub(r"\W", "_", page.stem))
        self.printed = ""

    def read(self) -> int:
        """Run every block; returns how many were run or compared."""
        done = 0
        with self._at_home():
            for block in blocks_of(self.page):
                act = getattr(self, "_" + block.language, None)
                if act is not None:
                    act(block)
                    done += 1
        return done

    @contextlib.contextmanager
    def _at_home(self):
        before = set(sys.modules)
        sys.modules[self.module.__name__] = self.module
        sys.path.insert(0, str(self.folder))
        try:
            with contextlib.chdir(self.folder):
                yield
        finally:
            sys.path.remove(str(self.folder))
            for name in set(sys.modules) - before:
                if name == self.module.__name__ or (self.folder / f"{name}.py").exists():
                    del sys.modules[name]

    def _python(self, block: Block) -> None:
        file = FILE_NAME.match(block.code)
        if file:
            (self.folder / file["name"]).write_text(block.code, encoding="utf-8")
            self._run(f"import {Path(file['name']).stem}\n", block.line)
        else:
            self._run(block.code, block.line)

    def _run(self, code: str, line: int) -> None:
        shown = io.StringIO()
        name = f"{self.page.name}:{line}"
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)  # tracebacks show the page's lines
        with contextlib.redirect_stdout(shown):
            exec(compile(code, name, "exec"), self.module.__dict__)
        self.printed = shown.getvalue()

    def _text(self, block: Block) -> None:
        check(block.code, self.printed, f"{self.page.name}:{block.line}")

    def _console(self, block: Block) -> None:
        for chunk in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
            command, _, expected = chunk.partition("\n")
            check(expected, self._shell(command), f"{self.page.name}:{block.line}: $ {command}")

    def _shell(self, command: str) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "PATH": path, "COLUMNS": "120", "PYTHONUNBUFFERED": "1"}
        end = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=60,
        )
        return end.stdout


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(f"{name}: {Reader(Path(name), Path(folder)).read()} blocks hold\n")
