"""From when on a participant counts as away, and which shares are shown how strongly."""

AWAY_S = 5.0
"""A participant who was not seen for longer than this is away. Shorter gaps come from a face turned aside."""

MIN_SHARE = 0.005
"""Smaller shares are left out of lists, because they would be shown as 0 %."""

TONES = ((0.0, 0.38), (0.45, 0.56), (0.65, 0.77), (0.85, 1.0))
"""In report and live page: from this share on, an emotion's colour has this opacity."""

SHADES = ((0.75, "█"), (0.5, "▓"), (0.0, "▒"))
"""In the terminal: from this share on, an emotion's colour fills this much of a block. The steps differ from TONES,
because a terminal has fewer of them."""


def away_after_s(fps: float | None) -> float:
    """Seconds without a sighting after which a participant is away; at least two frames, if `fps` is known."""
    return max(AWAY_S, 2 / fps) if fps else AWAY_S
