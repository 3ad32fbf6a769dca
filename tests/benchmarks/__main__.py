"""All benchmarks, one after the other: `python -m tests.benchmarks`, with the options of each."""

import sys
from importlib import import_module

from tests.benchmarks.ruler import Skipped, conclude, terms_of

NAMES = ("arithmetic", "steps", "scale_out", "adaptive", "feed", "latency", "report", "peer", "ten_thousand")

terms = terms_of(__doc__)
for name in NAMES:
    try:
        conclude(name, import_module(f"tests.benchmarks.{name}").benchmark(terms), terms)
    except Skipped as why:
        sys.stdout.write(f"{name} skipped: {why}\n\n")
