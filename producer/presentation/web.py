"""The style sheet and the script that report and live page share: shared.css and shared.js, and constants for them."""

import json
from importlib.resources import files

from producer.presentation.palette import COLOURS, PRESENCE_TONES
from producer.presentation.thresholds import TONES


def shared_style() -> str:
    """Colours, page layout, and the tones of an emotion's colour as the classes `level1` (palest), `level2`, ..."""
    colours = "".join(f"--{emotion}: {colour}; " for emotion, colour in COLOURS.items())
    fills = "".join(f"svg .{emotion} {{ fill: var(--{emotion}); }}\n" for emotion in COLOURS)
    tones = "".join(f".level{n} {{ fill-opacity: {opacity}; }}\n" for n, (_, opacity) in enumerate(TONES, 1))
    presence = "".join(
        f".presence{n} {{ fill: var(--quiet); fill-opacity: {opacity}; }}\n" for n, opacity in enumerate(PRESENCE_TONES)
    )
    return f"{_text('shared.css')}:root {{ {colours}}}\n{fills}{tones}{presence}"


def shared_script() -> str:
    """Defines the global `LecturePulse`."""
    return f"globalThis.LecturePulse = {json.dumps({'tones': TONES})};\n{_text('shared.js')}"


def _text(name: str) -> str:
    return (files("producer.presentation") / name).read_text(encoding="utf-8")
