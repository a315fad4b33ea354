"""Half a minute of soak: nothing that is opened stays open. The long one: `python -m tests.step5.soak`."""

import pytest

from tests.step5.soak import headline, problems, slope, soak


def test_the_slope_of_a_line():
    assert slope([(0, 10.0), (1, 12.0), (2, 14.0)]) == pytest.approx(2.0)
    assert slope([(1, 5.0)]) == 0.0


@pytest.mark.real
def test_half_a_minute_leaves_nothing_behind(tmp_path):
    found = soak(tmp_path, 0.5)
    print(headline(found))
    assert found["requests"] > 100
    # The slope of half a minute is noise; a leak shows as what is left when all is quiet.
    assert found["after"][0] - found["before"][0] < 10
    assert not [each for each in problems(found) if each != "memory grows"], headline(found)
