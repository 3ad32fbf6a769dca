"""What a picture's file name and the folders above it say: the emotion, and who is shown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# What public sets call their classes.
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
"""The eighth class of FER+, CK+ and AffectNet, which has no place among the seven."""

NO_EMOTION = "no emotion in its path"

# KDEF (Lundqvist, Flykt and Öhman, 1998): session A or B, sex, two digits of the person, emotion, angle.
_KDEF = re.compile(r"[AB]([FM]\d\d)(AF|AN|DI|HA|NE|SA|SU)(S|HL|HR|FL|FR)", re.IGNORECASE)

# CK+ (Lucey et al., 2010): subject, sequence, frame.
_CKPLUS = re.compile(r"(S\d{3})_\d{3}_\d{8}", re.IGNORECASE)


@dataclass(frozen=True)
class Label:
    """One of the seven emotions and, where the name tells, a person: `SET:PERSON`, as two sets share nobody."""

    emotion: str
    person: str | None = None


def kdef_label(stem: str) -> Label | None:
    """What a file name of KDEF says, None for any other; sessions A and B show the same people."""
    match = _KDEF.fullmatch(stem)
    return Label(EMOTION_OF[match[2].lower()], f"kdef:{match[1].upper()}") if match else None


def folder_label(folders: Sequence[str], stem: str) -> Label | str:
    """The emotion that the nearest class-named folder says, or the reason why there is none."""
    for folder in reversed(folders):
        if emotion := EMOTION_OF.get(folder.lower()):
            return Label(emotion, ckplus_person(stem))
        if folder.lower() in CONTEMPT:
            return "contempt"
    return NO_EMOTION


def ckplus_person(stem: str) -> str | None:
    """The person whom a file name of CK+ tells, None for any other name."""
    match = _CKPLUS.fullmatch(stem)
    return f"ckplus:{match[1].upper()}" if match else None
