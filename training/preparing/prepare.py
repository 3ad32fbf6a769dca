"""Making a prepared set: its settings, and the steps from sources to a folder that training reads."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue

import msgspec

from training.datasets import DatasetError
from training.datasets.dataset import refuse_shared
from training.preparing.cropping import Detector, DetectorName, make_detector
from training.preparing.face import ExaminedFace, examine
from training.preparing.layouts import read_source
from training.preparing.prepared_set import PreparedSet, is_made, read_set, write_set
from training.preparing.record import Record, Removal, Split, path_text
from training.preparing.selection.duplicates import without_duplicates
from training.preparing.selection.splits import Balance, capped, class_weights, with_splits
from training.preparing.threads import THREADS, in_threads
from training.preparing.votes import read_votes, with_votes
from training.preparing.whole_folder import whole_folder


@dataclass(frozen=True)
class Preparation:
    """The settings of a prepared set."""

    sources: tuple[Path, ...]  # for training, except for their published validation and test parts
    validation: tuple[Path, ...] = ()  # for validation only
    test: tuple[Path, ...] = ()  # for testing only
    # The part of a source without a validation part: of its persons, or of the pictures of each emotion if persons are
    # unknown.
    validation_share: float = 0.1
    votes: Path | None = None  # FER+'s csv
    find_faces: bool = False  # also in class folders, whose pictures otherwise count as crops
    detector: DetectorName = "mediapipe"
    cap: int | None = None  # highest number of training pictures of an emotion
    balance: Balance = "none"  # weights of training pictures
    seed: int = 1  # decides every random draw


def prepare(settings: Preparation, out: Path) -> PreparedSet:
    """Make the set `out` whole or not at all; the same pictures and settings give the same bytes of index.csv.

    If `out` is already the set of these pictures and settings, it is left as it is. Raises DatasetError if `out` holds
    anything else, a source cannot be used, a person would be in two splits, a split would be empty, or the disk is
    full.
    """
    _refuse_out_in_sources(settings, out)
    records, ruled_out = _list_pictures(settings)
    wanted, fingerprint = msgspec.to_builtins(settings, enc_hook=path_text), _fingerprint(records, ruled_out)
    if is_made(out, wanted, fingerprint):
        return read_set(out)
    _refuse_shared_persons(records, settings)
    with whole_folder(out) as folder:
        faces, unusable = _examined(records, settings)
        faces, copies = without_duplicates(faces)
        faces = with_splits(faces, settings.validation_share, settings.seed)
        over: list[Removal] = []
        if settings.cap is not None:
            faces, over = capped(faces, settings.cap, settings.seed)
        _refuse_empty_splits(faces, settings)
        weights = class_weights(faces) if settings.balance == "weights" else {}
        write_set(folder, faces, weights, ruled_out + unusable + copies + over, wanted, fingerprint)
    return read_set(out)


def _refuse_out_in_sources(settings: Preparation, out: Path) -> None:
    for source in (*settings.sources, *settings.validation, *settings.test):
        if source.resolve() in (out.resolve(), *out.resolve().parents):
            raise DatasetError(f"{out}: lies in the source {source}; name another --out")


def _list_pictures(settings: Preparation) -> tuple[list[Record], list[Removal]]:
    """The labelled pictures of all sources, in an order that does not depend on the order of the sources.

    The removals are the pictures that their label or their votes rule out.
    """
    records: list[Record] = []
    removed: list[Removal] = []
    asked_as: list[tuple[Split | None, tuple[Path, ...]]] = [
        (None, settings.sources),
        ("validation", settings.validation),
        ("test", settings.test),
    ]
    for split, sources in asked_as:
        for source in sources:
            found, ruled_out = read_source(source, settings.find_faces)
            records += [replace(record, split=split or record.split) for record in found]
            removed += ruled_out
    records.sort(key=lambda record: (record.source, record.origin))
    if settings.votes is not None:
        records, no_faces = with_votes(records, read_votes(settings.votes), settings.votes)
        removed += no_faces
    return records, removed


def _fingerprint(records: Sequence[Record], removed: Sequence[Removal]) -> str:
    """A digest of the listed pictures and of the sizes of their files."""
    digest = hashlib.blake2b(digest_size=16)
    for record in records:
        digest.update(repr(replace(record, picture=Path())).encode())
        picture = record.picture
        digest.update(str(picture.stat().st_size).encode() if isinstance(picture, Path) else picture.tobytes())
    digest.update(repr(sorted(removed)).encode())
    return digest.hexdigest()


def _refuse_shared_persons(records: Sequence[Record], settings: Preparation) -> None:
    """DatasetError if a person is in two of the splits that were published or asked for."""

    def persons(*splits: Split | None) -> set[str]:
        return {record.person for record in records if record.person is not None and record.split in splits}

    refuse_shared(
        persons(None, "train"), persons("validation"), _named(settings.validation, "published validation part")
    )
    refuse_shared(persons(None, "train", "validation"), persons("test"), _named(settings.test, "published test part"))


def _named(sources: tuple[Path, ...], otherwise: str) -> str:
    return ", ".join(map(str, sources)) or otherwise


def _examined(records: Sequence[Record], settings: Preparation) -> tuple[list[ExaminedFace], list[Removal]]:
    """The usable faces, and the other pictures as removed. Each thread has a detector, if any is needed."""
    detectors: SimpleQueue[Detector] = SimpleQueue()
    if any(record.whole for record in records):
        for _ in range(THREADS):
            detectors.put(make_detector(settings.detector))

    def examine_one(record: Record) -> ExaminedFace | Removal:
        if not record.whole:
            return examine(record, None)
        detector = detectors.get()
        try:
            return examine(record, detector)
        finally:
            detectors.put(detector)

    results = list(in_threads(examine_one, records, "reading pictures"))
    faces = [result for result in results if isinstance(result, ExaminedFace)]
    return faces, [result for result in results if isinstance(result, Removal)]


def _refuse_empty_splits(faces: Sequence[ExaminedFace], settings: Preparation) -> None:
    splits = {face.record.split for face in faces}
    sources = _named(settings.sources, "no source")
    if "train" not in splits:
        raise DatasetError(f"{sources}: none of its pictures can be trained on; name other sources")
    if "validation" not in splits:
        raise DatasetError(
            f"{sources}: no picture for validation; name a --validation, "
            f"or a --validation-share above {settings.validation_share:g}"
        )
