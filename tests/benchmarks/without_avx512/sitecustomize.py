"""Python imports this module when it starts, because `__main__` put its folder on PYTHONPATH."""

import ctypes
import os
from pathlib import Path

LIBRARY = "libpywrap_litert_common.so"


def _hide(compiled: Path) -> None:
    try:
        import ai_edge_litert.interpreter  # noqa: F401  # loads the library
    except ImportError:
        return  # the environment of `fer`
    maps = Path("/proc/self/maps").read_text().splitlines()
    base = min(int(line.partition("-")[0], 16) for line in maps if line.endswith(LIBRARY))
    places = [line.split() for line in (compiled / "places").read_text().splitlines()]
    offsets = (ctypes.c_uint64 * len(places))(*(int(offset, 16) for offset, _ in places))
    xgetbv = (ctypes.c_int * len(places))(*(name == "xgetbv" for _, name in places))
    ctypes.CDLL(str(compiled / "hide.so")).hide(ctypes.c_uint64(base), offsets, xgetbv, len(places))


if folder := os.environ.get("LECTUREPULSE_WITHOUT_AVX512"):
    _hide(Path(folder))
