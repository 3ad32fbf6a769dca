"""Reading files of arrays."""

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt


def read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz by name; OSError if there is no such file, ValueError if it is none or damaged."""
    try:
        with np.load(path) as file:
            return dict(file)
    except (AttributeError, TypeError, EOFError, BadZipFile, zlib.error) as failure:  # the first two: an .npy
        raise ValueError(f"not an .npz, or damaged: {failure}") from None
