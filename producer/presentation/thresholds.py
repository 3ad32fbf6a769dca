"""Thresholds of what is shown: when a participant is away, which shares are listed, and in which tones."""

AWAY_S = 5.0
"""A participant who was not seen for longer than this is away, and for longer than two frames (`away_after_s`). Shorter
gaps come from a face turned aside."""

ROUNDING_S = 1e-6
"""More than the rounding of times, and less than anything that counts."""

MIN_SHARE = 0.005
"""Smaller shares are left out of lists, because they would be shown as 0 %."""

TONES = ((0.0, 0.38), (0.45, 0.56), (0.65, 0.77), (0.85, 1.0))
"""In report and live page: (share, opacity). An emotion's colour has the opacity of the last share that it reaches."""

SHADES = ((0.75, "█"), (0.5, "▓"), (0.0, "▒"))
"""In the terminal: (share, character). An emotion is drawn with the first character whose share it reaches. There are
fewer steps than TONES, because a terminal has only these blocks."""


def away_after_s(fps: float | None) -> float:
    """Seconds without a sighting after which a participant is away; at least two frames, if `fps` is known.

    Every view uses it. The live page gets its result with the lecture's standing.
    """
    # k / fps and (k + 2) / fps may be a little more than 2 / fps apart.
    return max(AWAY_S, 2 / fps + ROUNDING_S) if fps else AWAY_S
