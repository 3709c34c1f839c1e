#!/usr/bin/env python3
"""Ridge fits by scikit-learn and SciPy, for test/ridge-reference.test.ts to compare with:

    python3 test/reference/ridge_reference.py > test/reference/ridge-reference.json

Needs python3-sklearn and python3-scipy. The data are made from the numbers in each case alone, the same way here and in
test/support/ridge-cases.ts.
"""

import json
import sys

import numpy
import scipy
import scipy.linalg
import sklearn
from sklearn.covariance import ledoit_wolf_shrinkage, oas
from sklearn.linear_model import Ridge, RidgeCV


def mulberry(seed):
    """The generator of test/support/numbers.ts."""
    state = seed

    def imul(a, b):
        return (a * b) & 0xFFFFFFFF

    def random():
        nonlocal state
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        mixed = imul(state ^ (state >> 15), 1 | state)
        mixed = ((mixed + imul(mixed ^ (mixed >> 7), 61 | mixed)) & 0xFFFFFFFF) ^ mixed
        return (mixed ^ (mixed >> 14)) / 2**32

    return random


def data(case):
    random = mulberry(case["seed"])
    n, d, k = case["rows"], case["width"], case["targets"]
    x, y, w = numpy.zeros((n, d), numpy.float32), numpy.zeros((n, k)), numpy.ones(n)
    for i in range(n):
        common = 2 * random() - 1
        for j in range(d):
            x[i, j] = case["scale"] * (1 + (2 * random() - 1) + common * (0.5 + j % 3))
        if case["collinear"]:
            x[i, d - 1] = x[i, 0] + x[i, 1]
        for t in range(k):
            y[i, t] = common * (t + 1) + (2 * random() - 1)
        if case["weighted"]:
            w[i] = 0 if i % 4 == 3 else 0.2 + random()
    return x.astype(float), y, w


def cases():
    seed = 1
    for n, d, k in [(20, 50, 2), (30, 30, 1), (60, 12, 3), (45, 1, 1)]:
        for weighted in (False, True):
            for intercept in (False, True):
                for scale in (1e-6, 1, 1e6):
                    yield {"rows": n, "width": d, "targets": k, "weighted": weighted, "intercept": intercept,
                           "scale": scale, "collinear": False, "lambda": 0.1, "seed": seed}
                    seed += 1
    for relative in (1e-3, 1e-6, 1e-9, 1e-11):
        yield {"rows": 60, "width": 12, "targets": 1, "weighted": True, "intercept": True, "scale": 1,
               "collinear": True, "lambda": relative, "seed": seed}
        seed += 1


def centred(case, x, y, w):
    if not case["intercept"]:
        return x, y
    return x - numpy.average(x, axis=0, weights=w), y - numpy.average(y, axis=0, weights=w)


def solve(case):
    x, y, w = data(case)
    xc, yc = centred(case, x, y, w)
    gram = xc.T @ (w[:, None] * xc)
    alpha = case["lambda"] * numpy.trace(gram) / case["width"]
    model = Ridge(alpha=alpha, fit_intercept=case["intercept"], solver="cholesky")
    model.fit(x, y, sample_weight=w)
    factor = scipy.linalg.cho_factor(gram + alpha * numpy.eye(case["width"]))
    direct = scipy.linalg.cho_solve(factor, xc.T @ (w[:, None] * yc))
    out = dict(case)
    out["alpha"] = alpha
    out["sklearn"] = numpy.atleast_2d(model.coef_).ravel().tolist()
    out["intercepts"] = numpy.broadcast_to(numpy.atleast_1d(model.intercept_), (case["targets"],)).tolist()
    out["scipy"] = direct.T.ravel().tolist()
    out["condition"] = float(numpy.linalg.cond(gram + alpha * numpy.eye(case["width"])))
    if not case["weighted"]:
        if case["intercept"]:
            out["ledoitWolf"] = float(ledoit_wolf_shrinkage(x))
            out["oas"] = float(oas(x)[1])
        if case["scale"] == 1:
            cv = RidgeCV(alphas=[alpha], fit_intercept=case["intercept"], store_cv_values=True).fit(x, y)
            out["loo"] = numpy.atleast_1d(cv.cv_values_.mean(axis=0).ravel()).tolist()
    return out


json.dump(
    {
        "versions": {"scikit-learn": sklearn.__version__, "scipy": scipy.__version__, "numpy": numpy.__version__},
        "cases": [solve(case) for case in cases()],
    },
    sys.stdout,
)
print()
