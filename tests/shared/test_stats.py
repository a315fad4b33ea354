import numpy as np
import pytest

from shared import stats


def test_wilson_gives_the_published_interval():
    """Newcombe 1998, table I: 15 of 148."""
    assert stats.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert stats.wilson(0, 0) == (0, 1)
    assert stats.percent(stats.share(11, 12)) == "92% (65-99)"  # up to .9851, which is rounded once


def test_a_bootstrap_interval_holds_the_true_mean_about_95_times_in_100():
    means = np.random.default_rng(0).normal(size=(200, 30))
    intervals = [stats.bootstrap(each) for each in means]
    assert 0.88 < np.mean([low <= 0 <= high for low, high in intervals]) < 0.98
    assert intervals[0] == stats.bootstrap(means[0])
    assert stats.bootstrap([1.0]) is None


def test_a_weight_counts_as_so_many_values():
    low, high = stats.bootstrap([1.0, 2.0, 3.0, 4.0], weights=[1, 1, 1, 1000])
    assert 1 <= low < 3.9 < high <= 4


@pytest.mark.parametrize(("gained", "lost", "p"), [(0, 0, 1), (1, 0, 1), (6, 0, 0.03125), (5, 1, 0.21875)])
def test_the_sign_test(gained, lost, p):
    assert stats.sign_test(gained, lost) == stats.sign_test(lost, gained) == pytest.approx(p)


@pytest.mark.parametrize("n", [1, 2, 19, 20, 21, 100])
def test_nearest_rank_is_the_smallest_value_that_enough_do_not_exceed(n):
    values = list(range(n, 0, -1))
    for percent in (1, 50, 95, 100):
        enough = [each for each in values if sum(other <= each for other in values) * 100 >= percent * n]
        assert stats.nearest_rank(values, percent) == min(enough)
    assert stats.nearest_rank([], 95) is None
