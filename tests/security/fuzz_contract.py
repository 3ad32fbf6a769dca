"""Fuzz the contract's decoders, by hand: `python -m tests.security.fuzz_contract -max_total_time=120`.

Needs atheris (`pip install atheris`). The arguments are libFuzzer's. It ends with an input that breaks the rule:
reading any value from Redis gives a message or a ValueError.
"""

import sys

import atheris

with atheris.instrument_imports(include=["worker", "msgspec"]):
    from tests.security.decoders import decode_all

if __name__ == "__main__":
    atheris.Setup(sys.argv, decode_all)
    atheris.Fuzz()
