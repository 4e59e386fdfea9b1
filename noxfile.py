"""The project's habits, each one command: `nox -s tests`, `nox -s lint types floors`, … Needs nothing but Python 3.11+ and nox."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "floors", "types", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def group(name: str) -> list[str]:
    """A dependency group's requirements, for a pip of any age."""
    return list(nox.project.dependency_groups(PROJECT, name))


def show_pyenv() -> None:
    """Under pyenv only the chosen versions answer; let the newest of each minor version we support answer too."""
    root = os.environ.get("PYENV_ROOT")
    if root and "PYENV_VERSION" not in os.environ:
        installed = sorted(path.name for path in Path(root, "versions").glob("3.1[1-9].*"))
        os.environ["PYENV_VERSION"] = ":".join(installed) or "system"


def interpreters() -> list[str]:
    """The one that runs nox, then the others that are present and able to make an environment."""
    show_pyenv()
    others = [version for version in ("3.11", "3.12", "3.13", "3.14") if version != HERE]
    return [HERE, *(version for version in others if answers(version))]


def answers(version: str) -> bool:
    """Whether this interpreter is here and complete."""
    try:
        return subprocess.run([f"python{version}", "-c", "import ensurepip, ssl"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: every rule but those that say why not, and the format."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def floors(session: nox.Session) -> None:
    """Imports point down only."""
    session.install("-e", ".", *group("floors"))
    session.run("lint-imports", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """Both checkers on the package and the examples, then on the mistakes that both must refuse."""
    session.install("-e", ".[examples]", *group("types"))
    session.run("mypy")
    session.run("pyright")
    session.run("pytest", "tests/typing", *session.posargs)


@nox.session(python=interpreters())
def tests(session: nox.Session) -> None:
    """All tests but the type checkers' own."""
    session.install("-e", ".[examples]", *group("test"))
    session.run("pytest", "--ignore=tests/typing", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """All tests on the lowest versions of the five dependencies that we claim to run on."""
    session.install(
        "-e", ".[examples]", *group("test"), *(re.sub(r">=([\d.]+).*", r"~=\1.0", said) for said in PROJECT["project"]["dependencies"])
    )
    session.run("pytest", "--ignore=tests/typing", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Every block of the README and the guides, run as a reader would; `-- --write` writes the reference anew."""
    session.install("-e", ".[examples]", *group("test"))
    if "--write" in session.posargs:
        session.run("python", "docs/make_reference.py", "--write")
        session.posargs.remove("--write")
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Ours beside the peers', in one run; `-- --write` fills docs/benchmarks.md."""
    session.install("-e", ".", "-r", "benchmarks/requirements.txt")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """The sdist, the wheel built from it, and the README's quickstart from that wheel in an environment with nothing else."""
    session.install("build")
    here = Path(session.create_tmp())
    shutil.rmtree(here, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(here / "dist"))
    session.run("python", "-m", "venv", str(here / "empty"))
    python = str(here / "empty" / ("Scripts" if os.name == "nt" else "bin") / "python")
    wheel = next((here / "dist").glob("*.whl"))
    session.run(python, "-m", "pip", "install", "--quiet", str(wheel), external=True)
    session.run(python, "-W", "error", "tests/docs/blocks.py", "README.md", external=True)
