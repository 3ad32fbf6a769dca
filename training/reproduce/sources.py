"""Finding the public sets in a folder of data, by the names of its folders."""

from pathlib import Path

from training.datasets import DatasetError

# Names are compared in lower case and without signs: CK+48 is ck48.
NAMES = {
    "fer2013": ("fer2013", "fer"),
    "affectnet": ("affectnet",),
    "kdef": ("kdef",),
    "rafdb": ("rafdb", "rafdbbasic"),
    "ckplus": ("ckplus48", "ck48", "ckplus", "ck"),
}

VOTES = ("ferplus.csv", "fer2013new.csv")
"""Our name and Microsoft's name for FER+'s votes on FER-2013."""


def find_sources(data: Path, wanted: tuple[str, ...]) -> dict[str, Path]:
    """The folders in `data` of the `wanted` sets, by name in the order of `wanted`; DatasetError if there is none."""
    if not data.is_dir():
        raise DatasetError(f"{data}: no such folder; name the one that holds the sets {', '.join(wanted)}")
    folders = {_plain(path.name): path for path in sorted(data.iterdir()) if path.is_dir()}
    found = {name: folders[spelling] for name in wanted for spelling in reversed(NAMES[name]) if spelling in folders}
    if not found:
        raise DatasetError(f"{data}: holds none of the sets {', '.join(wanted)}; unpack them into folders of that name")
    return found


def find_votes(data: Path) -> Path | None:
    """The csv of FER+'s votes in `data`, or None."""
    return next((data / name for name in VOTES if (data / name).is_file()), None)


def find_weights(data: Path, model: str) -> Path | None:
    """The folded ImageNet kernels of `model` in DATA/weights, or None."""
    return next(iter(sorted((data / "weights").glob(f"{model}*.npz"))), None)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
