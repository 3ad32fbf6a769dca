"""What web pages share: the style sheet shared.css, the script shared.js with constants for it, and the policy."""

import base64
import hashlib
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


def policy(scripts: list[str], style: str) -> str:
    """A Content-Security-Policy that allows these scripts, this style sheet and the reader's recording: no network."""
    allowed = " ".join(_hash(script) for script in scripts)
    ours = f"script-src {allowed}; style-src {_hash(style)}; media-src blob:"
    return f"default-src 'none'; {ours}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(name: str) -> str:
    return (files("producer.presentation") / name).read_text(encoding="utf-8")
