"""The stores that are asked: each has a module in `providers` that says what it offers and makes an empty one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from reactor.testing.contract import checks

if TYPE_CHECKING:
    from types import ModuleType

PROVIDERS = sorted((Path(__file__).parent / "providers").glob("*.py"))


def loaded(path: Path) -> ModuleType:
    """A provider's module: the folder is no package."""
    spec = importlib.util.spec_from_file_location(f"provider_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_generate_tests(metafunc) -> None:
    """Every check of every store that offers what it needs."""
    if "check" in metafunc.fixturenames:
        pairs = [(module, check) for module in map(loaded, PROVIDERS) for check in checks(module.OFFERS)]
        names = [f"{module.__name__.removeprefix('provider_')}-{check}" for module, check in pairs]
        metafunc.parametrize(("module", "check"), pairs, ids=names)
