#include "krylov_path.h"

#include "blas.h"
#include "lanczos.h"

#include <algorithm>

namespace llama_steer::ridge {

namespace {

constexpr double converged_at = 1e-13;
constexpr std::size_t checked_every = 8;

}  // namespace

std::size_t krylov_steps(std::size_t order) { return order <= 256 ? order : std::max<std::size_t>(256, order / 4); }

bool krylov_path(const_matrix_f64 whole, const double * b, const std::vector<double> & alphas, matrix_f64 out,
                 const abort_check & aborted) {
    const std::size_t n = whole.rows, most = krylov_steps(n);
    const double least = *std::min_element(alphas.begin(), alphas.end());
    lanczos space(n, b, most);
    if (!space.zero() && !(least > 0)) return false;
    std::vector<double> product(n);
    while (!space.zero()) {
        stop_if(aborted);
        gemv(1, whole, transpose::no, space.next(), 0, product.data());
        space.add(product.data());
        if (space.norm() + least > largest_krylov_condition * least) return false;
        const std::size_t steps = space.steps();
        const bool full = steps == most;
        if (space.closed() || (full && most == n)) break;
        if ((full || steps % checked_every == 0) && space.error_bound(least) <= converged_at) break;
        if (full) return false;
    }
    space.solutions(alphas, out);
    return true;
}

}  // namespace llama_steer::ridge
