"""The other sides of bench/ridge.bench.ts, one step at a time on request.

Reads requests from standard input, a line of JSON each, and answers each with a line of JSON:

    {"do": "data", "rows": n, "width": d}   followed by n*d float32 and n float64, as bytes
    {"do": "step", "side": NAME, "alphas": [...], "answer": bool}
        -> {"seconds": CPU time of the process, "coefficients": base64 of float64 [alphas, d], where asked for}

Every side starts from the float32 rows as they are, so that its conversions count, and ends with coefficients.
"""

import base64
import json
import sys
import time

import numpy as np
import scipy
import sklearn
from scipy.linalg import cho_factor, cho_solve
from sklearn.linear_model import Ridge


def gemm(size=1024):
    values = np.random.default_rng(1).standard_normal((size, size))
    return lambda: values @ values


def scikit_learn(x, y, alphas):
    """Ridge as its documentation has it; float64 features, since it computes in the type of what it gets."""
    found = []
    for alpha in alphas:
        wide = x.astype(np.float64)
        found.append(Ridge(alpha=alpha, solver="cholesky", copy_X=False).fit(wide, y).coef_)
    return np.stack(found)


def scipy_cholesky(x, y, alphas):
    """The smaller of the two systems, formed once, a factor for each alpha."""
    wide = x.astype(np.float64)
    wide -= wide.mean(axis=0)
    centred = y - y.mean()
    primal = wide.shape[0] >= wide.shape[1]
    gram = wide.T @ wide if primal else wide @ wide.T
    right = wide.T @ centred if primal else centred
    diagonal = np.diag(gram).copy()
    found = []
    for alpha in alphas:
        matrix = gram if len(alphas) == 1 else gram.copy()
        np.fill_diagonal(matrix, diagonal + alpha)
        factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        solution = cho_solve(factor, right, check_finite=False)
        found.append(solution if primal else wide.T @ solution)
    return np.stack(found)


def published_wrmd(x, y, alphas):
    """An explicit inverse of the d x d covariance in float32 for every alpha (arXiv 2512.16602)."""
    centred = x - x.mean(axis=0)
    rows = np.float32(len(x))
    covariance = centred.T @ centred / rows
    right = centred.T @ (y - y.mean()).astype(np.float32) / rows
    found = []
    for alpha in alphas:
        matrix = covariance + np.float32(alpha / len(x)) * np.eye(len(covariance), dtype=np.float32)
        found.append((np.linalg.inv(matrix) @ right).astype(np.float64))
    return np.stack(found)


def loaded_blas():
    """Files of a BLAS in this process."""
    try:
        with open("/proc/self/maps") as maps:
            files = {line.split(maxsplit=5)[-1].strip() for line in maps if "/" in line}
    except OSError:
        return []
    return sorted(file for file in files if "blas" in file.rsplit("/", 1)[-1])


def answer(message):
    print(json.dumps(message), flush=True)


def read_numbers(count, kind):
    return np.frombuffer(sys.stdin.buffer.read(count * np.dtype(kind).itemsize), dtype=kind)


def main():
    product = gemm()
    product()
    sides = {"scikit-learn": scikit_learn, "SciPy": scipy_cholesky, "published": published_wrmd}
    versions = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}
    answer({"versions": versions, "blas": loaded_blas()})
    x = y = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["do"] == "data":
            x = read_numbers(request["rows"] * request["width"], np.float32).reshape(request["rows"], -1)
            y = read_numbers(request["rows"], np.float64)
            answer({})
            continue
        begin = time.process_time()
        found = product() if request["side"] == "gemm" else sides[request["side"]](x, y, request["alphas"])
        reply = {"seconds": time.process_time() - begin}
        if request.get("answer"):
            reply["coefficients"] = base64.b64encode(np.ascontiguousarray(found).tobytes()).decode()
        answer(reply)


main()
