// Every kernel against a naive reference: the library that was found, and every built-in kernel this processor runs, on
// one thread and on three. Padding around each matrix is filled and must come back untouched.

#include "check.h"
#include "ridge_reference.h"

#include "ridge/blas.h"
#include "ridge/builtin/builtin.h"

#include <functional>
#include <limits>

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::matrix;

namespace {

constexpr double padding = 1e300;

/// A copy with row stride cols + extra.
struct strided {
    std::size_t rows, cols, stride;
    std::vector<double> data;

    strided(const matrix & a, std::size_t extra) : rows(a.rows), cols(a.cols), stride(a.cols + extra) {
        data.assign(rows * stride, padding);
        for (std::size_t i = 0; i < rows; i++) {
            for (std::size_t j = 0; j < cols; j++) data[i * stride + j] = a(i, j);
        }
    }
    matrix_f64 view() { return {data.data(), rows, cols, stride}; }
    matrix values() const {
        matrix a(rows, cols);
        for (std::size_t i = 0; i < rows; i++) {
            for (std::size_t j = 0; j < cols; j++) a(i, j) = data[i * stride + j];
        }
        return a;
    }
    bool padding_kept() const {
        for (std::size_t i = 0; i < rows; i++) {
            for (std::size_t j = cols; j < stride; j++) {
                if (data[i * stride + j] != padding) return false;
            }
        }
        return true;
    }
};

struct backend_under_test {
    std::string name;
    std::function<void(double, const_matrix_f64, transpose, const_matrix_f64, transpose, double, matrix_f64)> gemm;
    std::function<void(double, const_matrix_f64, transpose, double, matrix_f64)> syrk;
    std::function<std::size_t(matrix_f64)> potrf;
    std::function<void(const_matrix_f64, matrix_f64)> potrs;
};

std::vector<backend_under_test> backends() {
    std::vector<backend_under_test> all;
    all.push_back({backend(), ridge::gemm, ridge::syrk, ridge::potrf, ridge::potrs});
    for (const auto & k : builtin::supported_kernels()) {
        for (const std::size_t t : {std::size_t(1), std::size_t(3)}) {
            const builtin::kernel * with = &k;
            all.push_back(
                {std::string("builtin ") + k.name + " " + std::to_string(t),
                 [=](double alpha, const_matrix_f64 a, transpose op_a, const_matrix_f64 b, transpose op_b, double beta,
                     matrix_f64 c) { builtin::gemm(alpha, a, op_a, b, op_b, beta, c, t, *with); },
                 [=](double alpha, const_matrix_f64 a, transpose op_a, double beta, matrix_f64 c) {
                     builtin::syrk(alpha, a, op_a, beta, c, t, *with);
                 },
                 [=](matrix_f64 a) { return builtin::potrf(a, t, *with); },
                 [=](const_matrix_f64 l, matrix_f64 b) { builtin::potrs(l, b, t); }});
        }
    }
    return all;
}

void check_close(const backend_under_test & on, const matrix & got, const matrix & expected, double tol,
                 const std::string & what) {
    const double difference = reference::max_difference(got.data, expected.data);
    if (!(difference <= tol)) {
        check::fail(__FILE__, __LINE__, on.name + ": " + what + " is off by " + std::to_string(difference));
    }
}

std::string shape(std::initializer_list<std::size_t> sizes) {
    std::string text;
    for (const std::size_t s : sizes) text += (text.empty() ? "" : "x") + std::to_string(s);
    return text;
}

constexpr transpose no = transpose::no, yes = transpose::yes;

void try_gemm(std::size_t m, std::size_t n, std::size_t k, double alpha, double beta) {
    const matrix a = reference::random_matrix(m, k, 1), b = reference::random_matrix(k, n, 2);
    const matrix c = reference::random_matrix(m, n, 3), ab = reference::multiply(a, b);
    matrix expected(m, n);
    for (std::size_t i = 0; i < m * n; i++) expected.data[i] = alpha * ab.data[i] + beta * c.data[i];

    for (const auto & on : backends()) {
        for (const transpose op_a : {no, yes}) {
            for (const transpose op_b : {no, yes}) {
                strided left(op_a == no ? a : transposed(a), 3), right(op_b == no ? b : transposed(b), 2), out(c, 5);
                on.gemm(alpha, left.view(), op_a, right.view(), op_b, beta, out.view());
                check_close(on, out.values(), expected, 1e-14 * double(k + 1) * 10, "gemm " + shape({m, n, k}));
                CHECK(out.padding_kept());
            }
        }
    }
}

void try_syrk(std::size_t n, std::size_t k, double alpha, double beta) {
    const matrix a = reference::random_matrix(n, k, 4), c = reference::random_matrix(n, n, 5);
    const matrix aa = reference::multiply(a, reference::transposed(a));
    matrix expected = c;
    for (std::size_t i = 0; i < n; i++) {
        for (std::size_t j = 0; j <= i; j++) expected(i, j) = alpha * aa(i, j) + beta * c(i, j);
    }
    for (const auto & on : backends()) {
        for (const transpose op : {no, yes}) {
            strided in(op == no ? a : reference::transposed(a), 1), out(c, 4);
            on.syrk(alpha, in.view(), op, beta, out.view());
            check_close(on, out.values(), expected, 1e-14 * double(k + 1) * 10, "syrk " + shape({n, k}));
            CHECK(out.padding_kept());
        }
    }
}

matrix positive_definite(std::size_t n, unsigned seed) {
    const matrix x = reference::random_matrix(n + 8, n, seed);
    matrix a = reference::multiply(reference::transposed(x), x);
    for (std::size_t i = 0; i < n; i++) a(i, i) += 1;
    return a;
}

void try_cholesky(std::size_t n) {
    const matrix a = positive_definite(n, 6), right = reference::random_matrix(3, n, 7);
    matrix upper_marked = a;
    for (std::size_t i = 0; i < n; i++) {
        for (std::size_t j = i + 1; j < n; j++) upper_marked(i, j) = padding;
    }
    matrix expected(right.rows, n);
    for (std::size_t r = 0; r < right.rows; r++) {
        const auto x = reference::solve(a, {&right.data[r * n], &right.data[r * n] + n});
        for (std::size_t j = 0; j < n; j++) expected(r, j) = x[j];
    }
    for (const auto & on : backends()) {
        strided factor(upper_marked, 3), x(right, 2);
        CHECK_EQ(on.potrf(factor.view()), std::size_t(0));
        CHECK(factor.padding_kept());
        matrix l = factor.values();
        for (std::size_t i = 0; i < n; i++) {
            for (std::size_t j = i + 1; j < n; j++) {
                CHECK(l(i, j) == padding);
                l(i, j) = 0;
            }
        }
        check_close(on, reference::multiply(l, reference::transposed(l)), a, 1e-12 * double(n + 8),
                    "potrf " + shape({n}));
        on.potrs(factor.view(), x.view());
        check_close(on, x.values(), expected, 1e-9, "potrs " + shape({n}));
        CHECK(x.padding_kept());
    }
}

}  // namespace

TEST(ridge_gemm) {
    for (const std::size_t n : {1, 2, 3, 5, 16, 17, 63, 64, 65, 127, 129}) try_gemm(n, n, n, 1, 0);
    try_gemm(1, 70, 33, -0.5, 1);
    try_gemm(70, 1, 33, 2, 0.5);
    try_gemm(97, 31, 1, 1, 1);
    try_gemm(13, 7, 257, 1, -1);
    try_gemm(200, 40, 300, 1, 0);
    try_gemm(100, 1030, 20, 1, 1);
    try_gemm(6, 8, 4, 0, 2);
}

TEST(ridge_gemm_on_threads) { try_gemm(301, 257, 513, 1, 1); }

TEST(ridge_syrk) {
    for (const std::size_t n : {1, 2, 3, 5, 16, 17, 63, 64, 65, 127, 128, 129}) try_syrk(n, n + 1, 1, 0);
    try_syrk(1, 300, 1, 1);
    try_syrk(257, 1, -1, 1);
    try_syrk(100, 515, 0.5, 2);
    try_syrk(257, 300, 1, 0);
}

TEST(ridge_syrk_on_threads) {
    try_syrk(601, 257, 1, 1);
    try_syrk(1100, 70, 1, 0);
}

TEST(ridge_beta_zero_does_not_read) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    matrix a = reference::random_matrix(9, 9, 1), c(9, 9);
    for (const auto & on : backends()) {
        c.data.assign(81, nan);
        on.gemm(1, {a.data.data(), 9, 9}, no, {a.data.data(), 9, 9}, no, 0, {c.data.data(), 9, 9});
        for (const double value : c.data) CHECK(std::isfinite(value));
    }
}

TEST(ridge_cholesky) {
    for (const std::size_t n : {1, 2, 3, 5, 31, 63, 64, 65, 100, 127, 128, 129, 193, 257}) try_cholesky(n);
}

TEST(ridge_cholesky_on_threads) {
    const std::size_t n = 700;
    const matrix x = reference::random_matrix(n, n, 8);
    matrix a(n, n);
    ridge::gemm(1, {x.data.data(), n, n}, no, {x.data.data(), n, n}, yes, 0, {a.data.data(), n, n});
    for (std::size_t i = 0; i < n; i++) a(i, i) += 10;
    for (const auto & on : backends()) {
        strided factor(a, 1);
        CHECK_EQ(on.potrf(factor.view()), std::size_t(0));
        matrix l = factor.values(), product(n, n);
        for (std::size_t i = 0; i < n; i++) {
            for (std::size_t j = i + 1; j < n; j++) l(i, j) = 0;
        }
        ridge::gemm(1, {l.data.data(), n, n}, no, {l.data.data(), n, n}, yes, 0, {product.data.data(), n, n});
        check_close(on, product, a, 1e-9, "potrf 700");
    }
}

TEST(ridge_cholesky_names_the_failing_minor) {
    for (const std::size_t n : {1, 3, 64, 65, 200}) {
        for (const std::size_t bad : {std::size_t(0), n / 2, n - 1}) {
            matrix a = positive_definite(n, 9);
            a(bad, bad) = -1;
            for (const auto & on : backends()) {
                strided factor(a, 2);
                CHECK_EQ(on.potrf(factor.view()), bad + 1);
            }
        }
    }
    for (const auto & on : backends()) {
        matrix a(2, 2);
        CHECK_EQ(on.potrf({a.data.data(), 2, 2}), std::size_t(1));
    }
}

TEST(ridge_gemv) {
    for (const std::size_t m : {1, 2, 7, 64, 129}) {
        for (const std::size_t n : {1, 3, 8, 63, 257}) {
            const matrix a = reference::random_matrix(m, n, 10), x = reference::random_matrix(n, 1, 11);
            const matrix y = reference::random_matrix(m, 1, 12), ax = reference::multiply(a, x);
            for (const transpose op : {no, yes}) {
                strided in(op == no ? a : reference::transposed(a), 2);
                std::vector<double> found = y.data, built = y.data;
                ridge::gemv(0.5, in.view(), op, x.data.data(), 2, found.data());
                builtin::gemv(0.5, in.view(), op, x.data.data(), 2, built.data());
                for (std::size_t i = 0; i < m; i++) {
                    CHECK_NEAR(found[i], 0.5 * ax(i, 0) + 2 * y(i, 0), 1e-12);
                    CHECK_NEAR(built[i], 0.5 * ax(i, 0) + 2 * y(i, 0), 1e-12);
                }
            }
        }
    }
    double y[2] = {3, 4};
    ridge::gemv(1, {nullptr, 2, 0}, no, nullptr, 2, y);
    CHECK_EQ(y[0], 6.0);
    CHECK_EQ(y[1], 8.0);
}

TEST(ridge_blas_refuses_shapes_that_do_not_fit) {
    std::vector<double> buffer(64);
    const auto view = [&](std::size_t r, std::size_t c) { return matrix_f64(buffer.data(), r, c); };
    CHECK_THROWS_CODE(ridge::gemm(1, view(2, 3), no, view(2, 3), no, 0, view(2, 3)), error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(ridge::gemm(1, view(2, 3), no, view(3, 2), no, 0, view(3, 2)), error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(ridge::syrk(1, view(2, 3), no, 0, view(3, 3)), error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(ridge::syrk(1, view(2, 3), no, 0, view(2, 3)), error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(ridge::potrf(view(2, 3)), error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(ridge::potrs(view(3, 3), view(1, 2)), error_code::WIDTH_MISMATCH);
    CHECK_THROWS_CODE(ridge::potrf({buffer.data(), 3, 3, 2}), error_code::INVALID_ARGUMENT);
    CHECK_EQ(ridge::potrf(view(0, 0)), std::size_t(0));
}

TEST(ridge_backend_is_the_one_configured) {
    CHECK_EQ(backend().rfind(LLAMA_STEER_TEST_BLAS, 0), std::size_t(0));
    CHECK(!backend_detail().empty());
    const bool told = !take_notice().empty();
    CHECK_EQ(told, backend() == "builtin");
    CHECK(take_notice().empty());
}

TEST(ridge_thread_setting) {
    const std::size_t initial = threads();
    CHECK(initial >= 1);
    set_threads(2);
    CHECK_EQ(threads(), std::size_t(2));
    {
        const serial_kernels outer;
        const serial_kernels inner;
        CHECK_EQ(threads(), std::size_t(1));
        set_threads(3);
        CHECK_EQ(threads(), std::size_t(1));
    }
    CHECK_EQ(threads(), std::size_t(3));
    set_threads(0);
    CHECK_EQ(threads(), initial);
}
