"""TARGET: what is found, and what each way to miss it is answered with."""

import pytest

SHOP = """
    from dataclasses import dataclass
    import msgspec
    from reactor import Reactor, step

    @dataclass
    class Line:
        sku: str

    class Checkout(Reactor):
        lines: list[Line]

        @step
        async def output(self) -> int:
            return len(self.lines)

    class Refund(Reactor):
        @step
        async def output(self) -> int:
            return 1

    class Plain:
        pass

    def helper(): ...
"""


@pytest.mark.parametrize("target", ["shop:Refund", "shop.py:Refund", "./shop.py:Refund"])
def test_a_module_and_a_file_are_found(folder, target):
    """The working directory is importable, and a file is a target by its path."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("run", target, "--quiet")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_annotations_of_a_file_resolve(folder):
    """A file is imported under its own name, registered before it runs: its dataclasses are known as input types."""
    folder.write("deep/down/shop.py", "from __future__ import annotations\n" + SHOP.replace("\n    ", "\n"))
    done = folder.reactor("run", "deep/down/shop.py:Checkout", 'lines=[{"sku": "a"}]', "-q")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_a_file_of_a_package_keeps_its_relative_imports(folder):
    """A file beside an `__init__.py` is imported by its dotted name."""
    folder.write("app/__init__.py", "")
    folder.write("app/words.py", "WORD = 'hello'")
    folder.write(
        "app/flow.py",
        """
        from reactor import Reactor, step
        from .words import WORD

        class Greet(Reactor):
            @step
            async def output(self) -> str:
                return f"{WORD} from {__name__}"
        """,
    )
    done = folder.reactor("run", "app/flow.py:Greet", "-q")
    assert (done.returncode, done.stdout) == (0, '"hello from app.flow"\n'), done.stderr
    assert folder.reactor("run", "app.flow:Greet", "-q").returncode == 0


def test_a_file_named_like_a_module_of_python_takes_nobodys_place(folder):
    """`queue.py` is the author's name for it; Python's own `queue` stays what it was, for what is imported later too."""
    folder.write("flows/queue.py", SHOP)  # below: `python -m`, as the tests begin the command, puts where it stands before all else
    done = folder.reactor("run", "flows/queue.py:Refund", "-q")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


MISSED = {
    "no form": ("", ["[unknown-target]", "TARGET is package.module:Class or path/file.py:Class", "fix: "]),
    "no class": ("shop.py", ["[unknown-target]", "names no class", "known: Checkout, Refund", "fix: say shop.py:Checkout"]),
    "misspelt class": ("shop:Chekout", ["[unknown-target]", "shop has no Chekout", "did you mean `Checkout`?", "known: Checkout, Refund"]),
    "wrong case": ("shop:refund", ["did you mean `Refund`?"]),
    "misspelt module": ("shpo:Checkout", ["[unknown-target]", "no module shpo", "did you mean `shop`?"]),
    "misspelt file": ("shpo.py:Checkout", ["[unknown-target]", "no file shpo.py", "did you mean `shop.py`?"]),
    "no such folder": ("nowhere/shop.py:Checkout", ["[unknown-target]", "no directory nowhere"]),
    "module in no package": ("shop.inner:Checkout", ["[unknown-target]", "no module shop.inner"]),
    "a folder": ("./:Checkout", ["[unknown-target]", "is a directory", "shop.py"]),
    "no reactor": ("shop:Plain", ["[not-a-reactor]", "a class that is not a Reactor", "known: Checkout, Refund"]),
    "a function": ("shop:helper", ["[not-a-reactor]", "an object of type function"]),
    "the base": ("shop:Reactor", ["[not-a-reactor]", "the base class itself"]),
}


@pytest.mark.parametrize("case", MISSED)
def test_a_missed_target_teaches(folder, case):
    """Each says a code, what is wrong, the nearest name and the known set; nothing on stdout, no traceback, exit 2."""
    folder.write("shop.py", SHOP)
    target, said = MISSED[case]
    done = folder.reactor("run", target)
    assert (done.returncode, done.stdout) == (2, "")
    for words in said:
        assert words in done.stderr
    assert "Traceback" not in done.stderr


REACTOR = "from reactor import Reactor, step\nclass A(Reactor):\n    @step\n    async def output(self, {}) -> int:\n        return 1\n"
BROKEN = {
    "syntax": ("x = 1\nclass Checkout(Reactor:\n    pass\n", ["[syntax-error]", "app.py:2", "class Checkout(Reactor:", "^"]),
    "missing dependency": ("import nonexistent_thing\n", ["[import-failed]", "nonexistent_thing", "not installed", "app.py:1", "fix: "]),
    "raises": (
        "def f():\n    raise RuntimeError('no \\x1b[31mkey')\nf()\n",
        ["[import-failed]", "RuntimeError: no \\x1b[31mkey", "app.py:2 in f"],
    ),
    "exits": ("import sys\nsys.exit('bye')\n", ["[import-failed]", "sys.exit: bye", "app.py:2"]),
    "misspelt reference": (REACTOR.format("x: int = prise.result"), ["[import-failed]", "NameError", "app.py:4"]),
    "definition": (REACTOR.format("x: int"), ["x", "app.py:4", "fix: "]),
}


@pytest.mark.parametrize("target", ["app:A", "app.py:A"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_told_by_its_line(folder, case, target):
    """The author's own file and line and a few words, never a traceback through the import system; exit 2."""
    text, said = BROKEN[case]
    folder.write("app.py", text)
    done = folder.reactor("run", target)
    assert (done.returncode, done.stdout) == (2, "")
    for words in said:
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "importlib" not in done.stderr
    assert "\x1b" not in done.stderr


def test_show_misses_as_run_does(folder):
    """Both find their target in the same way."""
    folder.write("shop.py", SHOP)
    done = folder.reactor("show", "shop:Chekout")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean `Checkout`?" in done.stderr
