#!/usr/bin/env python3
"""Prints the numbers that bootstrap_coverage_test.cpp compares with.

python3 tests/stats/make_bootstrap_numbers.py    (numpy 2, scipy 1.17; 2 minutes)
"""
import numpy as np
from scipy import stats


def fixed_data():
    """SciPy's BCa ends of the mean of 20 quantiles of an exponential distribution."""
    x = -np.log1p(-(np.arange(20) + 0.5) / 20)
    found = stats.bootstrap((x,), np.mean, method="BCa", n_resamples=1_000_000, batch=10_000,
                            rng=np.random.default_rng(0))
    ends = found.confidence_interval
    print(f"BCa of 20 quantiles: [{ends.low:.5f}, {ends.high:.5f}], deviation {found.standard_error:.5f}")


def coverage(n, experiments=20_000, resamples=1000, batch=100):
    """How often intervals of the mean of n exponential numbers hold 1, and on which side they miss it."""
    rng = np.random.default_rng(n)
    z = stats.norm.ppf(0.975)
    misses = np.zeros((2, 2))  # percentile, BCa; the interval lies below 1, above it
    for _ in range(experiments // batch):
        x = rng.exponential(size=(batch, n))
        draws = rng.integers(0, n, size=(batch, resamples * n))
        means = np.sort(np.take_along_axis(x, draws, 1).reshape(batch, resamples, n).mean(2), 1)
        mean = x.mean(1, keepdims=True)
        z0 = stats.norm.ppf((means < mean).mean(1))
        left = (x.sum(1, keepdims=True) - x) / (n - 1)  # means of all but one
        d = left.mean(1, keepdims=True) - left
        a = (d**3).sum(1) / (6 * (d**2).sum(1)**1.5)
        bca = [stats.norm.cdf(z0 + (z0 + s) / (1 - a * (z0 + s))) for s in (-z, z)]
        for i, (low, high) in enumerate([(np.full(batch, 0.025), np.full(batch, 0.975)), bca]):
            end = [means[np.arange(batch), np.maximum(np.ceil(q * resamples - 1e-9), 1).astype(int) - 1]
                   for q in (low, high)]
            misses[i] += (end[1] < 1).sum(), (end[0] > 1).sum()
    below, above = misses.T / experiments
    for name, lo, hi in zip(("percentile", "BCa"), below, above):
        print(f"n={n} {name}: covers {1 - lo - hi:.4f}, lies below {lo:.4f}, above {hi:.4f}")


fixed_data()
for size in (20, 50):
    coverage(size)
