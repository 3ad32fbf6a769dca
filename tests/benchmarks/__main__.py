"""All benchmarks, one after the other: `python -m tests.benchmarks`, with the options of each.

One that fails does not stop the others; the exit code is then 1.
"""

import sys
import traceback
from importlib import import_module

from tests.benchmarks.ruler import Skipped, conclude, terms_of

NAMES = ("arithmetic", "steps", "scale_out", "adaptive", "cost", "feed", "latency", "report", "peer", "ten_thousand")

terms = terms_of(__doc__)
failed = False
for name in NAMES:
    try:
        conclude(name, import_module(f"tests.benchmarks.{name}").benchmark(terms), terms)
    except Skipped as why:
        sys.stdout.write(f"{name} skipped: {why}\n\n")
    except Exception:
        failed = True
        sys.stdout.write(f"{name} failed:\n{traceback.format_exc()}\n")
sys.exit(failed)
