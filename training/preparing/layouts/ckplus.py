"""CK+ (Lucey et al., 2010) as published: sequences from a neutral face to the peak of an expression.

cohn-kanade-images/S010/002/S010_002_00000001.png and so on are the frames. For a part of the sequences,
Emotion/S010/002/S010_002_00000014_emotion.txt holds the number of the emotion of the peak frame. The peak frame is
taken, and the first frame as neutral. The pictures show shoulders, so the faces have to be cut out.
"""

from collections.abc import Iterator
from pathlib import Path

from training.datasets import DatasetError
from training.datasets.labels import CONTEMPT, ckplus_person
from training.preparing.record import Record, Removal, origin

_IMAGES = "cohn-kanade-images"
_LABELS = ("Emotion", "Emotion_labels", "Emotion_labels/Emotion")  # as the published zip unpacks
_NUMBERED = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
_EMOTIONS: dict[float, str] = dict(enumerate(_NUMBERED))


def recognises(source: Path) -> bool:
    """A folder with the frames; `read` checks for the labels."""
    return (source / _IMAGES).is_dir()


def read(source: Path) -> Iterator[Record | Removal]:
    """Peak and first frame of every labelled sequence; DatasetError if there is no label or one is broken."""
    labels = sorted({path for folder in _LABELS for path in (source / folder).glob("S*/*/*_emotion.txt")})
    if not labels:
        raise DatasetError(f"{source}: {_IMAGES}, but no Emotion/S*/*/*_emotion.txt; unpack CK+'s Emotion_labels there")
    for path in labels:
        sequence = source.joinpath(_IMAGES, *path.parts[-3:-1])
        peak = sequence / f"{path.stem.removesuffix('_emotion')}.png"
        first = min(sequence.glob("S*_*_*.png"), default=peak)
        for frame, displayed in {first: "neutral", peak: _emotion(path)}.items():
            record = Record("ckplus", origin(frame, source), frame, displayed, ckplus_person(frame.stem), whole=True)
            if displayed in CONTEMPT:
                yield record.removed("contempt")
            elif not frame.is_file():
                yield record.removed("unreadable", "labelled, but not there")
            else:
                yield record


def _emotion(path: Path) -> str:
    try:
        return _EMOTIONS[float(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, KeyError):
        raise DatasetError(f"{path}: not a number from 0 to {len(_EMOTIONS) - 1}; unpack it anew") from None
