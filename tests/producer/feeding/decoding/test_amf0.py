"""AMF0: what is written is read again, and any bytes are read or refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.feeding.decoding.amf0 import Malformed, decoded, encoded

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
PLAIN = st.none() | st.booleans() | st.floats(allow_nan=False) | NAMES
VALUES = st.recursive(PLAIN, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=6).filter(
    lambda value: str(value).count("{") <= 8
)


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_what_is_written_is_read_again(values: list[object]) -> None:
    assert decoded(encoded(*values)) == values


@given(st.binary(max_size=200))
def test_any_bytes_are_values_or_malformed(data: bytes) -> None:
    with suppress(Malformed):
        assert decoded(data)


def test_the_codecs_that_enhanced_rtmp_names_are_an_array() -> None:
    array = b"\x0a\0\0\0\2\2\0\4hvc1\2\0\4av01"
    assert decoded(b"\3\0\x0afourCcList" + array + b"\0\3app\2\0\4live\0\0\x09") == [
        {"fourCcList": ["hvc1", "av01"], "app": "live"}
    ]
    with pytest.raises(Malformed):
        decoded(b"\x0a\xff\xff\xff\xff\5")


def test_objects_in_objects_without_end_are_malformed() -> None:
    with pytest.raises(Malformed):
        decoded(b"\3\0\1a" * 5000)
