"""Labels from paths: the emotion and the person that a file name and the folders above it name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# The names of classes in public sets.
ALIASES = {
    "anger": ("anger", "angry", "an"),
    "disgust": ("disgust", "disgusted", "di"),
    "fear": ("fear", "fearful", "afraid", "af"),
    "happiness": ("happiness", "happy", "ha"),
    "sadness": ("sadness", "sad", "sa"),
    "surprise": ("surprise", "surprised", "su"),
    "neutral": ("neutral", "neutrality", "ne"),
}
EMOTION_OF = {alias: emotion for emotion, aliases in ALIASES.items() for alias in aliases}

CONTEMPT = ("contempt", "contemptuous")
"""The eighth class of FER+, CK+ and AffectNet, which is none of the seven emotions."""

NO_EMOTION = "no emotion in its path"

# KDEF (Lundqvist, Flykt and Öhman, 1998): session A or B, sex, two digits of the person, emotion, angle.
_KDEF = re.compile(r"[AB]([FM]\d\d)(AF|AN|DI|HA|NE|SA|SU)(S|HL|HR|FL|FR)", re.IGNORECASE)

_ANGLES = {
    "S": "frontal",
    "HL": "half profile, left",
    "HR": "half profile, right",
    "FL": "full profile, left",
    "FR": "full profile, right",
}

# CK+ (Lucey et al., 2010): subject, sequence, frame.
_CKPLUS = re.compile(r"(S\d{3})_\d{3}_\d{8}", re.IGNORECASE)


@dataclass(frozen=True)
class PathLabel:
    """One of the seven emotions and the person, `SET:PERSON`, or None. Two sets have no person in common."""

    emotion: str
    person: str | None = None


def kdef_label(stem: str) -> PathLabel | None:
    """The label in a file name of KDEF, None for any other name. Sessions A and B show the same persons."""
    match = _KDEF.fullmatch(stem)
    return PathLabel(EMOTION_OF[match[2].lower()], f"kdef:{match[1].upper()}") if match else None


def kdef_view(stem: str) -> dict[str, str]:
    """The person's `sex` and the camera's `angle` in a file name of KDEF; nothing for any other name."""
    match = _KDEF.fullmatch(stem)
    if match is None:
        return {}
    return {"sex": {"F": "female", "M": "male"}[match[1][0].upper()], "angle": _ANGLES[match[3].upper()]}


def folder_label(folders: Sequence[str], stem: str) -> PathLabel | str:
    """The label of the nearest folder that is named after a class, or the reason why there is none."""
    for folder in reversed(folders):
        if emotion := EMOTION_OF.get(folder.lower()):
            return PathLabel(emotion, ckplus_person(stem))
        if folder.lower() in CONTEMPT:
            return "contempt"
    return NO_EMOTION


def ckplus_person(stem: str) -> str | None:
    """The person in a file name of CK+, None for any other name."""
    match = _CKPLUS.fullmatch(stem)
    return f"ckplus:{match[1].upper()}" if match else None
