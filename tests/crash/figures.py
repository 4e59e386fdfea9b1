"""How much is asked, and what was measured."""

from __future__ import annotations

import os

EVERYWHERE = os.environ.get("REACTOR_CRASH") == "all"
FIGURES: list[str] = []
