"""What draws the charts in a browser, as `bundling` made it: their specifications, and Vega-Embed as JavaScript."""

from importlib.resources import files
from typing import Any

import msgspec


def specs() -> dict[str, dict[str, Any]]:
    """The Vega-Lite specifications of `charts`, by name."""
    return msgspec.json.decode(_text("specs.json"), type=dict[str, dict[str, Any]])


def library() -> str:
    """Vega-Embed with everything that it needs. The licences are in the folder `vega`, and named at the beginning."""
    return _text("vega.js")


def _text(name: str) -> str:
    return (files("producer.reading.report") / "vega" / name).read_text(encoding="utf-8")
