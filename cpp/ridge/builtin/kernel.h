// The innermost loops of the built-in fallback, compiled once for every instruction set that pays and chosen at run
// time, so that one prebuilt binary serves every machine of its architecture.
//
// Source of the scheme: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (ACM TOMS 34, 2008);
// Van Zee and van de Geijn, "BLIS" (ACM TOMS 41, 2015).
#pragma once

#include <cstddef>
#include <vector>

namespace llama_steer::ridge::builtin {

struct kernel {
    const char * name;
    std::size_t mr, nr;  ///< the tile: at most max_mr x max_nr

    /// c[mr, nr] (row stride ldc) += alpha * a b, where a is packed as [k, mr] and b as [k, nr].
    void (*tile)(std::size_t k, double alpha, const double * a, const double * b, double * c, std::size_t ldc);

    /// Forward substitution for solve_lanes right-hand sides side by side: x [n, solve_lanes], contiguous, becomes the
    /// solution of l x = b, where l [n, n] is lower triangular with row stride ldl.
    void (*solve)(std::size_t n, const double * l, std::size_t ldl, double * x);
};

constexpr std::size_t max_mr = 12;
constexpr std::size_t max_nr = 16;
constexpr std::size_t solve_lanes = 16;

/// Those this processor can run, best first. Static storage.
const std::vector<kernel> & supported_kernels();

inline const kernel & best_kernel() { return supported_kernels().front(); }

}  // namespace llama_steer::ridge::builtin
