"""Preparing a set: from what was asked for to a folder that training can read."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from training.datasets import DatasetError
from training.datasets.dataset import refuse_common
from training.preparing.cropping import Detector, Finder, make_finder
from training.preparing.face import Face, examine
from training.preparing.layouts import read_source
from training.preparing.prepared_set import Prepared, is_made, read_set, write_set
from training.preparing.record import Listing, Record, Removal, Split
from training.preparing.selection.balance import Balance, capped, class_weights
from training.preparing.selection.duplicates import without_duplicates
from training.preparing.selection.splits import with_splits
from training.preparing.threads import THREADS, in_threads
from training.preparing.votes import read_votes, with_votes
from training.preparing.whole_folder import whole_folder


@dataclass(frozen=True)
class Preparation:
    """What a set is to be made of, and how.

    `sources` are for training, but for their published validation and test parts; `validation` and `test` are that
    alone. Of each source that has no validation part here or there, `validation_share` becomes one: a share of its
    people, where they are known, and else of each emotion's pictures. `votes` is FER+'s csv.
    `find_faces` says that pictures in class folders are not crops either. `cap` is the most training pictures of an
    emotion, `balance` weighs them. `seed` decides what is drawn.
    """

    sources: tuple[Path, ...]
    validation: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    validation_share: float = 0.1
    votes: Path | None = None
    find_faces: bool = False
    detector: Detector = "mediapipe"
    cap: int | None = None
    balance: Balance = "none"
    seed: int = 1


def prepare(wish: Preparation, out: Path) -> Prepared:
    """Make the set `out`, whole or not at all: the same pictures and the same wish make the same bytes of index.csv.

    A set that was made of the same pictures by the same wish is left as it is. Raises DatasetError where `out` holds
    anything else, a source cannot be used, people would be in two splits, a split would be empty, or the disk is full.
    """
    _refuse_out_in_sources(wish, out)
    listing = _list_pictures(wish)
    asked, pictures = _as_json(wish), _fingerprint(listing)
    if is_made(out, asked, pictures):
        return read_set(out)
    _refuse_shared_persons(listing.records, wish)
    with whole_folder(out) as folder:
        faces, removed = _examined(listing.records, wish)
        faces, copies = without_duplicates(faces)
        faces = with_splits(faces, wish.validation_share, wish.seed)
        over: list[Removal] = []
        if wish.cap is not None:
            faces, over = capped(faces, wish.cap, wish.seed)
        _refuse_empty_splits(faces, wish)
        weights = class_weights(faces) if wish.balance == "weights" else {}
        write_set(folder, faces, weights, listing.removed + removed + copies + over, asked, pictures)
    return read_set(out)


def _refuse_out_in_sources(wish: Preparation, out: Path) -> None:
    for source in (*wish.sources, *wish.validation, *wish.test):
        if source.resolve() in (out.resolve(), *out.resolve().parents):
            raise DatasetError(f"{out}: lies in the source {source}, which would then read it; name another --out")


def _list_pictures(wish: Preparation) -> Listing:
    """Every labelled picture of every source, in an order that does not hang on that of the sources."""
    listing = Listing()
    asked_as: list[tuple[Split | None, tuple[Path, ...]]] = [
        (None, wish.sources),
        ("validation", wish.validation),
        ("test", wish.test),
    ]
    for split, sources in asked_as:
        for source in sources:
            found = read_source(source, wish.find_faces)
            listing.records += [replace(record, split=split or record.split) for record in found.records]
            listing.removed += found.removed
    listing.records.sort(key=lambda record: (record.source, record.origin))
    if wish.votes is not None:
        voted = with_votes(listing.records, read_votes(wish.votes), wish.votes)
        listing = Listing(voted.records, listing.removed + voted.removed)
    return listing


def _as_json(wish: Preparation) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(asdict(wish), enc_hook=str))
    return plain


def _fingerprint(listing: Listing) -> str:
    """Of all that was listed, and of how large the files are."""
    digest = hashlib.blake2b(digest_size=16)
    for record in listing.records:
        digest.update(repr(replace(record, picture=Path())).encode())
        picture = record.picture
        digest.update(str(picture.stat().st_size).encode() if isinstance(picture, Path) else picture.tobytes())
    digest.update(repr(sorted(listing.removed)).encode())
    return digest.hexdigest()


def _refuse_shared_persons(records: Sequence[Record], wish: Preparation) -> None:
    """DatasetError where somebody is in two of the splits that were published or asked for."""

    def persons(*splits: Split | None) -> set[str]:
        return {record.person for record in records if record.person is not None and record.split in splits}

    refuse_common(persons(None, "train"), persons("validation"), _named(wish.validation, "published validation part"))
    refuse_common(persons(None, "train", "validation"), persons("test"), _named(wish.test, "published test part"))


def _named(sources: tuple[Path, ...], otherwise: str) -> str:
    return ", ".join(map(str, sources)) or otherwise


def _examined(records: Sequence[Record], wish: Preparation) -> tuple[list[Face], list[Removal]]:
    """Look at every picture; the usable ones, and the others as removed."""
    faces: list[Face] = []
    removed: list[Removal] = []
    for result in in_threads(_examiner(records, wish), records, "reading pictures"):
        if isinstance(result, Face):
            faces.append(result)
        else:
            removed.append(result)
    return faces, removed


def _examiner(records: Sequence[Record], wish: Preparation) -> Callable[[Record], Face | Removal]:
    """`examine` for several threads: there is a finder for each of them, if any face is to be found."""
    finders: SimpleQueue[Finder] = SimpleQueue()
    if any(record.whole for record in records):
        for _ in range(THREADS):
            finders.put(make_finder(wish.detector))

    def look(record: Record) -> Face | Removal:
        if not record.whole:
            return examine(record, None)
        finder = finders.get()
        try:
            return examine(record, finder)
        finally:
            finders.put(finder)

    return look


def _refuse_empty_splits(faces: Sequence[Face], wish: Preparation) -> None:
    splits = {face.record.split for face in faces}
    if "train" not in splits:
        raise DatasetError(f"{_named(wish.sources, 'no source')}: none of its pictures can be trained on")
    if "validation" not in splits:
        raise DatasetError(
            f"{_named(wish.sources, 'no source')}: no picture for validation; name a --validation, "
            f"or a --validation-share above {wish.validation_share:g}"
        )
