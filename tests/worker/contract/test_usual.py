"""A person's usual is the median of their own scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.contract.messages import EMOTIONS
from worker.contract.usual import change, counted, mean_of, usual

vectors = st.lists(st.lists(st.floats(0, 1), min_size=7, max_size=7), min_size=1, max_size=60)


@given(vectors, st.integers(0, 60))
def test_the_usual_is_the_median_to_the_width_of_a_bin_however_the_scores_come(
    scores: list[list[float]], cut: int
) -> None:
    found = usual(counted(counted(b"", scores[:cut]), scores[cut:]))
    assert found == usual(counted(b"", scores))
    assert found is not None
    ordered = np.sort(np.array(scores), axis=0)  # an even number has two middle values, and any between is a median
    low, high = ordered[(len(scores) - 1) // 2], ordered[len(scores) // 2]
    for n, emotion in enumerate(EMOTIONS):
        assert low[n] - 0.07 <= found[emotion] <= high[n] + 0.07


def test_nobody_has_no_usual_and_several_have_the_mean_of_theirs() -> None:
    assert usual(b"") is None
    assert mean_of([]) is None
    low, high = dict.fromkeys(EMOTIONS, 0.1), dict.fromkeys(EMOTIONS, 0.3)
    assert mean_of([low, high]) == dict.fromkeys(EMOTIONS, 0.2)
    assert change(high, low) == dict.fromkeys(EMOTIONS, 0.2)
