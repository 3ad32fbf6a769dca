"""The short form of `fuzz_demuxer`: the feed survives damaged videos, always the same ones."""

import resource
from pathlib import Path

from producer.feeding.decoding.decoder import ADDRESS_SPACE_BYTES
from producer.feeding.sources.opening import open_source
from tests.security.fuzz_demuxer import fuzz, survived
from tests.security.mutations import seeds


def test_the_feed_of_a_damaged_file_comes_to_an_end(tmp_path: Path) -> None:
    fates = fuzz(tmp_path, seed=7, seconds=60, files=5)
    assert [fate for fate in fates if not survived(fate)] == []
    assert len({fate.end for fate in fates}) > 1


def test_a_decoder_may_take_no_more_memory_than_its_limit(tmp_path: Path) -> None:
    seeds(tmp_path)
    with open_source(str(tmp_path / "a.mp4"), 2) as opened:
        assert resource.prlimit(opened.decoder_pid, resource.RLIMIT_AS) == (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES)
