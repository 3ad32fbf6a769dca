"""Making a prepared set: its settings, and the steps from sources to a folder that training reads."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from training.datasets import DatasetError
from training.datasets.dataset import refuse_shared
from training.preparing.cropping import Detector, DetectorName, make_detector
from training.preparing.face import ExaminedFace, examine
from training.preparing.layouts import read_source
from training.preparing.prepared_set import PreparedSet, is_made, read_set, write_set
from training.preparing.record import Listing, Record, Removal, Split
from training.preparing.selection.balance import Balance, capped, class_weights
from training.preparing.selection.duplicates import without_duplicates
from training.preparing.selection.splits import with_splits
from training.preparing.threads import THREADS, in_threads
from training.preparing.votes import read_votes, with_votes
from training.preparing.whole_folder import whole_folder


@dataclass(frozen=True)
class Preparation:
    """The settings of a prepared set.

    `sources` are for training, except for their published validation and test parts; `validation` and `test` are used
    for that alone. A source without a validation part gets one: `validation_share` of its persons, or of each emotion's
    pictures if persons are unknown. `votes` is FER+'s csv. With `find_faces`, pictures in class folders are not crops.
    `cap` is the highest number of training pictures of an emotion, `balance` weighs them, and `seed` decides every
    random draw.
    """

    sources: tuple[Path, ...]
    validation: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    validation_share: float = 0.1
    votes: Path | None = None
    find_faces: bool = False
    detector: DetectorName = "mediapipe"
    cap: int | None = None
    balance: Balance = "none"
    seed: int = 1


def prepare(settings: Preparation, out: Path) -> PreparedSet:
    """Make the set `out` whole or not at all; the same pictures and settings give the same bytes of index.csv.

    If `out` is already the set of these pictures and settings, it is left as it is. Raises DatasetError if `out` holds
    anything else, a source cannot be used, a person would be in two splits, a split would be empty, or the disk is
    full.
    """
    _refuse_out_in_sources(settings, out)
    listing = _list_pictures(settings)
    asked, pictures = _as_json(settings), _fingerprint(listing)
    if is_made(out, asked, pictures):
        return read_set(out)
    _refuse_shared_persons(listing.records, settings)
    with whole_folder(out) as folder:
        faces, removed = _examined(listing.records, settings)
        faces, copies = without_duplicates(faces)
        faces = with_splits(faces, settings.validation_share, settings.seed)
        over: list[Removal] = []
        if settings.cap is not None:
            faces, over = capped(faces, settings.cap, settings.seed)
        _refuse_empty_splits(faces, settings)
        weights = class_weights(faces) if settings.balance == "weights" else {}
        write_set(folder, faces, weights, listing.removed + removed + copies + over, asked, pictures)
    return read_set(out)


def _refuse_out_in_sources(settings: Preparation, out: Path) -> None:
    for source in (*settings.sources, *settings.validation, *settings.test):
        if source.resolve() in (out.resolve(), *out.resolve().parents):
            raise DatasetError(f"{out}: lies in the source {source}; name another --out")


def _list_pictures(settings: Preparation) -> Listing:
    """Every labelled picture of every source, in an order that does not depend on the order of the sources."""
    listing = Listing()
    asked_as: list[tuple[Split | None, tuple[Path, ...]]] = [
        (None, settings.sources),
        ("validation", settings.validation),
        ("test", settings.test),
    ]
    for split, sources in asked_as:
        for source in sources:
            found = read_source(source, settings.find_faces)
            listing.records += [replace(record, split=split or record.split) for record in found.records]
            listing.removed += found.removed
    listing.records.sort(key=lambda record: (record.source, record.origin))
    if settings.votes is not None:
        voted = with_votes(listing.records, read_votes(settings.votes), settings.votes)
        listing = Listing(voted.records, listing.removed + voted.removed)
    return listing


def _as_json(settings: Preparation) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(asdict(settings), enc_hook=str))
    return plain


def _fingerprint(listing: Listing) -> str:
    """A digest of the listing and of the sizes of the files."""
    digest = hashlib.blake2b(digest_size=16)
    for record in listing.records:
        digest.update(repr(replace(record, picture=Path())).encode())
        picture = record.picture
        digest.update(str(picture.stat().st_size).encode() if isinstance(picture, Path) else picture.tobytes())
    digest.update(repr(sorted(listing.removed)).encode())
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
    """The usable faces, and the other pictures as removed."""
    faces: list[ExaminedFace] = []
    removed: list[Removal] = []
    for result in in_threads(_examiner(records, settings), records, "reading pictures"):
        if isinstance(result, ExaminedFace):
            faces.append(result)
        else:
            removed.append(result)
    return faces, removed


def _examiner(records: Sequence[Record], settings: Preparation) -> Callable[[Record], ExaminedFace | Removal]:
    """`examine` for several threads, each with a detector of its own if faces have to be detected."""
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

    return examine_one


def _refuse_empty_splits(faces: Sequence[ExaminedFace], settings: Preparation) -> None:
    splits = {face.record.split for face in faces}
    if "train" not in splits:
        raise DatasetError(
            f"{_named(settings.sources, 'no source')}: none of its pictures can be trained on; name other sources"
        )
    if "validation" not in splits:
        raise DatasetError(
            f"{_named(settings.sources, 'no source')}: no picture for validation; name a --validation, "
            f"or a --validation-share above {settings.validation_share:g}"
        )
