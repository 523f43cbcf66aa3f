#!/usr/bin/env python3
"""Prints the numbers that scaling_fit_test.cpp compares with: SciPy's least squares on the same law.

python3 tests/stats/make_scaling_numbers.py    (numpy 2, scipy 1.17)
"""
import numpy as np
from scipy.optimize import least_squares

SIZES, TOKENS, K = [1e6, 4e6, 16e6], [1e7, 3e7, 9e7], [1.0, 1.5]


def law(p, k, n, d):
    floor, a, alpha, b, beta = p
    root = np.sqrt(k)
    return floor + a * (root * n / 4e6)**-alpha + b * (root * d / 3e7)**-beta


rows, i = [], 0
for arm in range(2):
    for n in SIZES:
        for d in TOKENS:
            rows.append((arm, n, d, law([1.2, 0.5, 0.4, 0.3, 0.6], K[arm], n, d) * (1 + 0.004 * np.sin(7 * i))))
            i += 1
arm, n, d, loss = (np.array(x) for x in zip(*rows))


def residuals(q):
    k = np.where(arm == 1, np.exp(q[5]), 1)
    return law(np.exp(q[:5]), k, n, d) / loss - 1


best = min((least_squares(residuals, [0, np.log(0.5), np.log(s), np.log(0.3), np.log(t), 0], xtol=1e-15, ftol=1e-15,
                          gtol=1e-15, max_nfev=20000) for s in (0.1, 0.4, 0.8) for t in (0.1, 0.4, 0.8)),
           key=lambda r: r.cost)
p = np.exp(best.x)
print("squares", repr(2 * best.cost))
print("floor, size exponent, token exponent, multiplier", p[0], p[2], p[4], p[5])
