"""The rules of the house that a tool cannot hold for us; CONTRIBUTING.md says them, import-linter holds the floors."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import reactor
from reactor.errors import ReactorError

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reactor"
MODULES = sorted(PACKAGE.rglob("*.py"))
HELD = sorted(path for folder in ("reactor", "tests", "docs", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
UNLOADED = ("redis", "arq", "sqlite3", "click", "rich", "fastapi", "aiohttp", "starlette", "pydantic", "attrs")


def named(path: Path) -> str:
    """A file as a reader names it."""
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def every(path: Path, *kinds: type[ast.AST]) -> list[ast.AST]:
    """All nodes of these kinds in a file."""
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, kinds)]


# ---- budgets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", HELD, ids=named)
def test_no_function_is_over_60_lines(path):
    """A function fits on a screen."""
    assert not [f"{f.name}:{f.lineno}" for f in every(path, *FUNCTIONS) if f.end_lineno - f.lineno + 1 > 60]


@pytest.mark.parametrize("path", [path for path in HELD if not path.is_relative_to(ROOT / "tests")], ids=named)
def test_no_module_is_over_400_lines(path):
    """A module is read in one sitting; a test module is as long as its story, of functions that fit on a screen."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_class_has_over_15_public_methods(path):
    """A class has one duty."""
    for found in every(path, ast.ClassDef):
        assert len({f.name for f in found.body if isinstance(f, FUNCTIONS) and not f.name.startswith("_")}) <= 15, found.name


# ---- imports --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_import_hides_in_a_function(path):
    """Neither a statement nor importlib; `engine.py`'s table of URL schemes and a command's target are the only dynamic ones."""
    for function in every(path, *FUNCTIONS):
        assert not [node.lineno for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)], function.name
    dynamic = [call.lineno for call in every(path, ast.Call) if ast.unparse(call.func).split(".")[-1] in {"import_module", "__import__"}]
    allowed = path == PACKAGE / "engine.py" or path.is_relative_to(PACKAGE / "cli")
    assert len(dynamic) <= (1 if allowed else 0)


@pytest.mark.parametrize("path", [path for path in MODULES if path != PACKAGE / "__init__.py"], ids=named)
def test_no_room_imports_the_front_door(path):
    """`from reactor import …` is for authors: inside, a module names the floor that it stands on. `cli` and `testing` are guests."""
    if path.is_relative_to(PACKAGE / "testing"):
        return
    assert not [node.lineno for node in every(path, ast.ImportFrom) if node.module == "reactor" and not node.level]


def probe(code: str, **environment: str) -> object:
    """Run a line in a fresh interpreter; what it prints is JSON."""
    found = {**os.environ, **environment}
    return json.loads(subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=found, check=True, capture_output=True, text=True).stdout)


def test_importing_the_package_loads_no_heavy_thing():
    """`import reactor` is for every process: drivers, frameworks and terminals load when they are asked for."""
    loaded = probe("import json, sys, reactor; print(json.dumps(sorted(sys.modules)))")
    assert not [name for name in UNLOADED if name in loaded]


def test_importing_the_package_is_quick(tmp_path):
    """Compiled, it costs no more than twice what asyncio, msgspec, anyio and tenacity, which any such package loads, cost by themselves."""
    parts = ("import json; from time import process_time as now", "a = now()", "import asyncio, msgspec, anyio, tenacity", "b = now()")
    clock = "; ".join((*parts, "import reactor", "print(json.dumps([b - a, now() - b]))"))
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    measured = [probe(clock, **compiled) for _ in range(6)]
    assert min(ours for _, ours in measured) <= 2 * min(theirs for theirs, _ in measured)


def test_the_front_door_is_a_list():
    """`reactor/__init__.py` is `__all__` and imports only."""
    for node in tree_of(PACKAGE / "__init__.py").body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_all = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        assert is_docstring or is_all or isinstance(node, ast.ImportFrom), ast.unparse(node)


FACE = """
    Ask Bound Cancelled Composed Continue Delivery ElementFailure Engine Event Fail Failed Halt Halted Index Interrupt Map Node
    OptionalComposed OptionalStep Outcome Page Parked Reactor Results Retry RollbackFailure Run Secret Skip Source Status Step
    StepContext StepError Succeeded TryAgain Undone Waiting compose interrupt map_over source step step_context use
    AmbiguousSignal DeadlineExceeded DefinitionError Expired Incompatible InputInvalid MailboxFull NeedsEngine NotWaiting
    PayloadInvalid ReactorError ResultNotStorable RunConflict RunFailed RunStopped SourceChanged StepCancelled StepCrashed
    StoreUnavailable UnknownRun WrongState
""".split()  # noqa: SIM905 - words read best as words


def test_the_front_door_changes_on_purpose_only():
    """What an author may import: a name that comes or goes is a change of this test, and a line in the changelog."""
    assert sorted(reactor.__all__) == sorted(FACE)
    assert all(hasattr(reactor, name) for name in FACE)


# ---- words ----------------------------------------------------------------------------------------------------

USED = {  # avoided words that also have an honest meaning of their own
    "key": "of a dict, a source, an idempotency key",
    "rollback": "is itself the word for the backward phase",
    "session": "of a process: its one lease on all that it drives",
}


OTHERS = {  # names that asyncio and anyio gave
    "pause_writing",
    "run_in_executor",
    "set_default_executor",
    "shutdown_default_executor",
    "virtual_backend",
}


def avoided() -> set[str]:
    """The right column of the glossary in CONTRIBUTING.md."""
    glossary = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("| term | meaning | avoid |")[1].split("\n\n")[0]
    cells = [row.split("|")[3] for row in glossary.splitlines()[2:]]
    return {word for cell in cells for word in re.findall(r"\w+", re.sub(r"\(.*?\)", "", cell))} - USED.keys()


def public_names(path: Path) -> set[str]:
    """Classes, functions, methods and fields of a module that have no underscore."""
    found = {node.name for node in every(path, ast.ClassDef, *FUNCTIONS)}
    for owner in every(path, ast.ClassDef):
        found |= {node.target.id for node in owner.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    return {name for name in found if not name.startswith("_")} - OTHERS


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_public_name_says_an_avoided_word(path):
    """The glossary's left word, never the right one: a newcomer meets each thing under one name."""
    words = {name: set(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r"_\1", name).lower())) for name in public_names(path)}
    assert not {name: words[name] & avoided() for name in words if words[name] & avoided()}


# ---- errors and docstrings ------------------------------------------------------------------------------------


def family(error: type[ReactorError]) -> list[type[ReactorError]]:
    """The class and all below it."""
    return [error, *(below for child in error.__subclasses__() for below in family(child))]


OPTIONS = "abstract aliases attempts batch-size in-flight key max-running name offload on-error retry version"
SPELT = {  # codes that are put together, by how the source says them
    "fbad-{name.replace(_, -)}": {f"bad-{name}" for name in OPTIONS.split()},
    "f{option}-not-a-node": {"when-not-a-node", "after-not-a-node"},
    "code": {f"handler-{what}" for what in ("not-a-function", "not-async", "takes-name", "too-late", "twice")},
}


def codes() -> set[str]:
    """Every error code that the package can give."""
    found = set().union(*SPELT.values())
    for path in MODULES:
        said = [node for owner in every(path, ast.ClassDef) for node in owner.body if isinstance(node, ast.Assign | ast.AnnAssign)]
        found |= {ast.literal_eval(node.value) for node in said if re.match(r"code(: str)? = '\w", ast.unparse(node))}
        for node in every(path, ast.keyword):
            if node.arg != "code":
                continue
            if isinstance(node.value, ast.Constant):
                found.add(node.value.value)
            elif isinstance(node.value, ast.JoinedStr):
                assert re.sub(r"[\"']", "", ast.unparse(node.value)) in SPELT, (
                    f"{named(path)}:{node.value.lineno}: write its codes out in SPELT"
                )
    return found


def test_every_error_has_a_code_of_its_own():
    """A code is what people search for: kebab-case, one a class."""
    errors = [error for error in family(ReactorError) if error.__module__.startswith("reactor")]
    assert len({error.code for error in errors}) == len(errors)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes())


def test_every_error_code_is_in_the_index():
    """docs/errors.md has a heading for each code that is raised, and knows no code that is gone."""
    headings = re.findall(r"^### (`.+`)$", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    indexed = [code for heading in headings for code in re.findall(r"`([a-z-]+)`", heading)]
    assert len(indexed) == len(set(indexed))
    assert set(indexed) == codes(), (codes() - set(indexed), set(indexed) - codes())


def test_every_public_name_shows_an_example():
    """What an author imports has a docstring with an example; an error's is in docs/errors.md, an alias has none."""
    finder = doctest.DocTestFinder(exclude_empty=False)
    bare = []
    for name in reactor.__all__:
        thing = getattr(reactor, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            if inspect.isclass(thing) and issubclass(thing, ReactorError):
                continue
            if not any(found.examples for found in finder.find(thing, name)):
                bare.append(name)
    assert not bare


ROOMS = ["reactor", *(room.name for room in pkgutil.walk_packages(reactor.__path__, "reactor.") if not room.name.endswith("__main__"))]


@pytest.mark.parametrize("room", ROOMS)
def test_every_docstrings_example_runs(room):
    """An example in a docstring is true."""
    result = doctest.testmod(importlib.import_module(room), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_every_room_says_what_it_is_for(path):
    """A module has a docstring; an empty `__init__.py` has nothing to say."""
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text))


# ---- what no file may hold ------------------------------------------------------------------------------------


def tracked() -> list[Path]:
    """The files that are part of the project."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_no_file_names_a_machine_or_a_registry():
    """Neither a path of the machine it was written on nor a download address: both are true in one place only."""
    here = [re.escape(f"{path}/") for path in (ROOT.parent, Path.home()) if path != path.parent]
    address = r"https?://[^\s\"')]*(?:\.whl|\.tgz|\.tar\.gz|/simple/)"
    found = re.compile("|".join([*here, address, *(rf"\b{host}\.(?:org|io|com)\b" for host in ("pypi", "pythonhosted", "npmjs"))]))
    for path in tracked():
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not found.search(text), f"{named(path)}: {found.search(text)}"
