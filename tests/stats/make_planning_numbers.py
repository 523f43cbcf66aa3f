#!/usr/bin/env python3
"""Prints the numbers that planning_test.cpp and components_test.cpp compare with.

python3 tests/stats/make_planning_numbers.py    (numpy 2, scipy 1.17, statsmodels 0.15)
"""
import numpy as np
from scipy import integrate, stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW


def paired_t():
    for n, effect, alpha in [(3, 1.0, 0.05), (5, 2.0, 0.05), (10, 0.8, 0.05), (34, 0.5, 0.05), (40, 0.5, 0.01)]:
        power = TTestPower().power(effect_size=effect, nobs=n, alpha=alpha)
        print(f"t power n={n} effect={effect} alpha={alpha}: {power:.15g}")
    for effect, alpha, power in [(1.0, 0.05, 0.8), (0.5, 0.05, 0.8), (2.0, 0.0125, 0.9)]:
        n = next(n for n in range(2, 1000) if TTestPower().power(effect, n, alpha) >= power)
        print(f"seeds effect={effect} alpha={alpha} power={power}: {n}")


def equivalence():
    x = np.array([0.011, -0.004, 0.002, 0.007, -0.001])
    for margin in (0.01, 0.02):
        p = DescrStatsW(x).ttost_mean(-margin, margin)[0]
        print(f"tost margin={margin}: {p:.15g}")
    for n, effect, margin, level in [(5, 0.0, 2.0, 0.05), (10, 0.2, 1.0, 0.025), (30, 0.0, 0.5, 0.05)]:
        t, df = stats.t.ppf(1 - level, n - 1), n - 1

        def inner(q):  # q: chi-square of df degrees of freedom
            s = np.sqrt(q / df)
            inside = stats.norm.cdf(np.sqrt(n) * (margin - effect) - t * s) - stats.norm.cdf(
                t * s - np.sqrt(n) * (margin + effect))
            return max(inside, 0) * stats.chi2.pdf(q, df)

        end = df * n * (margin / t) ** 2
        value = integrate.quad(inner, 0, min(end, stats.chi2.ppf(1 - 1e-14, df)), epsabs=1e-12, limit=500)[0]
        rng = np.random.default_rng(0)
        d = rng.normal(effect, 1, (400000, n))
        m, se = d.mean(1), d.std(1, ddof=1) / np.sqrt(n)
        share = np.mean((np.abs(m) + t * se) < margin)
        print(f"tost power n={n} effect={effect} margin={margin} level={level}: {value:.12g} simulated {share:.4f}")


def crossed():
    """The test of crossed_mean (mean squares at least that of the rest, Satterthwaite), simulated."""
    rng = np.random.default_rng(1)
    for S, P, vs, vp, vr, delta, alpha in [(3, 50, 4e-4, 0.04, 0.09, 0.1, 0.05), (5, 200, 1e-4, 0.05, 0.1, 0.05, 0.05),
                                           (2, 100, 9e-4, 0.02, 0.2, 0.2, 0.05), (10, 24, 0.0, 0.1, 0.1, 0.2, 0.01)]:
        runs, hits = 40000, 0
        for _ in range(20):
            m = runs // 20
            y = (delta + rng.normal(0, np.sqrt(vs), (m, S, 1)) + rng.normal(0, np.sqrt(vp), (m, 1, P)) +
                 rng.normal(0, np.sqrt(vr), (m, S, P)))
            mean, a, b = y.mean((1, 2)), y.mean(2), y.mean(1)
            rest = ((y - a[:, :, None] - b[:, None, :] + mean[:, None, None])**2).sum((1, 2)) / ((S - 1) * (P - 1))
            ms = np.maximum(rest, P * a.var(1, ddof=1))
            mp = np.maximum(rest, S * b.var(1, ddof=1))
            total = ms + mp - rest
            df = total**2 / (ms**2 / (S - 1) + mp**2 / (P - 1) + rest**2 / ((S - 1) * (P - 1)))
            hits += np.sum(2 * stats.t.sf(np.abs(mean) / np.sqrt(total / (S * P)), df) <= alpha)
        print(f"crossed S={S} P={P} seed={vs} problem={vp} rest={vr} delta={delta} alpha={alpha}: {hits / runs:.4f}")


def components():
    rng = np.random.default_rng(2)
    S, P, vs, vp, vr = 5, 40, 0.02, 0.1, 0.5
    F, chi2, low, high = stats.f, stats.chi2, 0.025, 0.975
    inside, runs = np.zeros(3), 20000
    for _ in range(runs):
        y = rng.normal(0, vs**.5, (S, 1)) + rng.normal(0, vp**.5, (1, P)) + rng.normal(0, vr**.5, (S, P))
        a, b, m = y.mean(1), y.mean(0), y.mean()
        r, dr = ((y - a[:, None] - b + m)**2).sum() / ((S - 1) * (P - 1)), (S - 1) * (P - 1)
        for i, (ms, df, cells, true) in enumerate([(P * a.var(ddof=1), S - 1, P, vs), (S * b.var(ddof=1), P - 1, S, vp)]):
            ends = [max(0, df * (ms - F.ppf(q, df, dr) * r) / (cells * chi2.ppf(q, df))) for q in (high, low)]
            inside[i] += ends[0] <= true <= ends[1]
        inside[2] += dr * r / chi2.ppf(high, dr) <= vr <= dr * r / chi2.ppf(low, dr)
    print("components: coverage of seed, problem, rest", inside / runs)
    y = np.array([[1, 2, 4, 3], [2, 2, 6, 5], [0, 3, 5, 1]], float)
    S, P = y.shape
    a, b, m = y.mean(1), y.mean(0), y.mean()
    r, dr = ((y - a[:, None] - b + m)**2).sum() / ((S - 1) * (P - 1)), (S - 1) * (P - 1)
    for name, ms, df, cells in [("seed", P * a.var(ddof=1), S - 1, P), ("problem", S * b.var(ddof=1), P - 1, S)]:
        ends = [max(0, df * (ms - F.ppf(q, df, dr) * r) / (cells * chi2.ppf(q, df))) for q in (high, low)]
        print(f"components {name}: {max(0, ms - r) / cells:.15g} [{ends[0]:.15g}, {ends[1]:.15g}]")
    print(f"components rest: {r:.15g} [{dr * r / chi2.ppf(high, dr):.15g}, {dr * r / chi2.ppf(low, dr):.15g}]")


for part in (paired_t, equivalence, crossed, components):
    part()
