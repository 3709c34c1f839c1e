// PCA, LDA and logistic directions, few rows, preserve sets and lists of lambdas, against plain references.

#include "check.h"
#include "ridge_fit_problems.h"

#include "ridge/direction_krylov.h"

using namespace llama_steer;
using namespace llama_steer::ridge;
using reference::random_sample;

TEST(ridge_pca_equals_the_component_of_all_pairs) {
    const std::size_t shapes[][2] = {{30, 2}, {40, 9}, {24, 40}, {12, 60}};  // the last in the basis of its rows
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 11);
        const auto rows = reference::labelled_rows(s, 0.1, true);
        const direction got = fitted(s, options_of(pca));
        CHECK_NEAR(distance(got.vector, reference::pairs_component(rows, s.d, {})), 0, 2e-7);
        CHECK(got.gap > 0);
        CHECK_EQ(got.lambda, 0.0);

        const auto keep = random_sample(7, s.d, 12).x;
        auto o = options_of(pca);
        o.preserve = preserve_mode::project_out;
        const auto along = preserve_shift(s, keep);
        CHECK_NEAR(distance(fitted(s, o, keep).vector, reference::pairs_component(rows, s.d, along)), 0, 2e-7);
    }
}

TEST(ridge_pca_of_wide_rows_is_an_eigenvector) {
    // Too wide for the plain reference: S v = theta v is checked instead, and that no other start finds more.
    const auto s = random_sample(600, 300, 13);
    const direction got = fitted(s, options_of(pca));
    std::vector<double> wr(s.n), wc(s.n);
    for (std::size_t i = 0; i < s.n; i++)
        (s.scores[i] > 0.1 ? wr : wc)[i] = std::fabs(s.scores[i]) > 0.1 ? std::fabs(s.scores[i]) : 0;
    auto second = reference::covariance(s.x, s.d, wr);
    const auto other = reference::covariance(s.x, s.d, wc);
    const auto mr = reference::mean(s.x, s.d, wr), mc = reference::mean(s.x, s.d, wc);
    for (std::size_t a = 0; a < s.d; a++) {
        for (std::size_t b = 0; b < s.d; b++) second(a, b) += other(a, b) + (mr[a] - mc[a]) * (mr[b] - mc[b]);
    }
    const auto times = [&](const std::vector<double> & x) {
        std::vector<double> out(s.d);
        for (std::size_t a = 0; a < s.d; a++) {
            for (std::size_t b = 0; b < s.d; b++) out[a] += second(a, b) * x[b];
        }
        return out;
    };
    const std::vector<double> v(got.vector.begin(), got.vector.end());
    const auto image = times(v);
    const double theta = reference::dot(v, image);
    double residual = 0;
    for (std::size_t j = 0; j < s.d; j++) residual += std::pow(image[j] - theta * v[j], 2);
    CHECK_NEAR(std::sqrt(residual) / theta, 0, 1e-6);
    std::vector<double> x(s.d, 1.0);
    for (int step = 0; step < 200; step++) x = reference::unit(times(x));
    CHECK(reference::dot(x, times(x)) <= theta * (1 + 1e-6));
}

TEST(ridge_lda_equals_reference) {
    const std::size_t shapes[][2] = {{40, 3}, {30, 50}, {20, 100}, {200, 33}};
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 14);
        std::vector<double> wr(s.n), wc(s.n);
        double sum_r = 0, sum_c = 0;
        for (std::size_t i = 0; i < s.n; i++) {
            if (s.scores[i] > 0.1) sum_r += wr[i] = s.scores[i];
            if (s.scores[i] < -0.1) sum_c += wc[i] = -s.scores[i];
        }
        auto pooled = reference::covariance(s.x, s.d, wr);
        const auto other = reference::covariance(s.x, s.d, wc);
        double trace = 0;
        for (std::size_t a = 0; a < s.d; a++) {
            for (std::size_t b = 0; b < s.d; b++) {
                pooled(a, b) = (sum_r * pooled(a, b) + sum_c * other(a, b)) / (sum_r + sum_c);
            }
            trace += pooled(a, a);
        }
        const auto mr = reference::mean(s.x, s.d, wr), mc = reference::mean(s.x, s.d, wc);
        std::vector<double> shift(s.d);
        for (std::size_t j = 0; j < s.d; j++) {
            shift[j] = mr[j] - mc[j];
            pooled(j, j) += 0.2 * trace / double(s.d);
        }
        const direction got = fitted(s, options_of(lda, 0.2));
        CHECK_NEAR(distance(got.vector, reference::unit(reference::solve(pooled, shift))), 0, 1e-6);
        CHECK_NEAR(got.lambda, 0.2 * trace / double(s.d), 1e-9 * got.lambda);
        CHECK_NEAR(got.shrinkage, 1 / 6.0, 1e-9);
    }
}

TEST(ridge_logistic_is_stationary) {
    // The objective is strictly convex: where its gradient vanishes, there is its only minimum.
    const std::size_t shapes[][2] = {{40, 3}, {60, 40}, {20, 90}};
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 15);
        const auto all = all_of(reference::labelled_rows(s, 0.1, true));
        for (const double multiple : {0.01, 1.0, 50.0}) {
            const direction got = fitted(s, options_of(logistic, multiple));
            const double lambda = multiple * mean_eigenvalue(all.rows, all.weights);
            CHECK_NEAR(got.lambda, lambda, 1e-9 * lambda);
            // Of the solution only the direction is told: along it, length and intercept follow from plain Newton in
            // 2-D.
            double length = 0, b = 0;
            std::vector<double> p(all.rows.size());
            for (std::size_t i = 0; i < p.size(); i++) {
                for (std::size_t j = 0; j < s.d; j++) p[i] += double(got.vector[j]) * all.rows[i][j];
            }
            double centre = 0;
            for (std::size_t i = 0; i < p.size(); i++) centre += all.weights[i] * p[i];
            std::vector<double> slope(p.size());
            for (int step = 0; step < 100; step++) {
                double g1 = lambda * length, g2 = 0, h11 = lambda, h12 = 0, h22 = 0;
                for (std::size_t i = 0; i < p.size(); i++) {
                    const double x = p[i] - centre, t = all.classes[i];
                    const double q = 1 / (1 + std::exp(t * (length * x + b)));
                    slope[i] = -all.weights[i] * t * q;
                    g1 += slope[i] * x;
                    g2 += slope[i];
                    const double c = all.weights[i] * q * (1 - q);
                    h11 += c * x * x;
                    h12 += c * x;
                    h22 += c;
                }
                const double determinant = h11 * h22 - h12 * h12;
                const double scale = step < 50 ? 0.5 : 1;
                length -= scale * (h22 * g1 - h12 * g2) / determinant;
                b -= scale * (h11 * g2 - h12 * g1) / determinant;
            }
            double gradient = 0, parts = 0;
            for (std::size_t j = 0; j < s.d; j++) {
                double g = 0;
                for (std::size_t i = 0; i < p.size(); i++) g += slope[i] * all.rows[i][j];
                parts += g * g;
                gradient += std::pow(g + lambda * length * double(got.vector[j]), 2);
            }
            CHECK(length > 0);
            CHECK_NEAR(std::sqrt(gradient / parts), 0, 1e-6);
        }
    }
}

TEST(ridge_few_rows_in_many_dimensions_equal_reference) {
    // 4 rows or more dimensions a row: solved in the basis of the rows.
    const std::size_t shapes[][3] = {{10, 64, 6}, {12, 200, 5}, {20, 129, 12}};
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 19);
        const auto keep = random_sample(shape[2], shape[1], 20).x;
        for (const auto mode : {preserve_mode::none, preserve_mode::covariance_within, preserve_mode::covariance_pooled,
                                preserve_mode::project_out}) {
            for (const double lambda : {1e-3, 1.0, 100.0}) {
                auto o = options_of(wrmd, lambda);
                o.preserve = mode;
                const auto kept = mode == preserve_mode::none ? std::vector<float>() : keep;
                const auto expected = reference::direction(s, o, kept);
                const direction got = fitted(s, o, kept);
                CHECK_NEAR(distance(got.vector, expected.v), 0, 1e-6);
                CHECK_NEAR(got.gap, expected.gap, 1e-6 * std::fabs(expected.gap));
                CHECK_NEAR(got.lambda, expected.lambda, 1e-9 * expected.lambda);
            }
        }
        CHECK_THROWS_CODE(fitted(s, options_of(wrmd, 0)), error_code::SINGULAR_MATRIX);
        CHECK_THROWS_CODE(fitted(s, options_of(wrmd, 1e-17)), error_code::SINGULAR_MATRIX);
    }
    // Copies of two rows span one dimension.
    reference::sample copies{8, 64, {}, {1, -1, 1, -1, 1, -1, 1, -1}};
    const auto two = random_sample(2, 64, 21);
    for (int i = 0; i < 4; i++) copies.x.insert(copies.x.end(), two.x.begin(), two.x.end());
    auto absolute = options_of(lda, 1);
    absolute.unit = lambda_unit::absolute;
    const direction along = fitted(copies, absolute);
    CHECK_NEAR(distance(along.vector, fitted(copies, options_of(md)).vector), 0, 1e-6);
}

TEST(ridge_both_ways_of_preserving_join) {
    const auto s = random_sample(60, 20, 22);
    const auto keep = random_sample(15, 20, 23).x;
    auto o = options_of(wrmd, 0.5);
    o.preserve = preserve_mode::pooled_and_projected;
    const direction got = fitted(s, o, keep);
    // The pooled Sigma, solved for the projected difference, from the reference's parts.
    const auto along = preserve_shift(s, keep);
    std::vector<double> wr(s.n), wc(s.n);
    for (std::size_t i = 0; i < s.n; i++) {
        if (s.scores[i] > 0.1) wr[i] = s.scores[i];
        if (s.scores[i] < -0.1) wc[i] = -s.scores[i];
    }
    const auto mr = reference::mean(s.x, 20, wr), mc = reference::mean(s.x, 20, wc);
    auto sigma = reference::covariance(s.x, 20, wc);
    const auto other = reference::covariance(keep, 20, std::vector<double>(15, 1.0));
    std::vector<double> shift(20);
    double trace = 0;
    for (std::size_t a = 0; a < 20; a++) {
        for (std::size_t b = 0; b < 20; b++) sigma(a, b) = (sigma(a, b) + other(a, b)) / 2 + along[a] * along[b] / 4;
        trace += sigma(a, a);
        shift[a] = mr[a] - mc[a];
    }
    const double share = reference::dot(shift, along) / reference::dot(along, along);
    for (std::size_t a = 0; a < 20; a++) {
        shift[a] -= share * along[a];
        sigma(a, a) += 0.5 * trace / 20;
    }
    CHECK_NEAR(distance(got.vector, reference::unit(reference::solve(sigma, shift))), 0, 1e-6);
}

TEST(ridge_lists_of_lambdas_equal_single_fits) {
    const std::vector<double> few{1, 0.01}, many{1e-3, 1e-2, 0.1, 1, 1, 10, 1e3, 1e6};
    const std::size_t shapes[][2] = {{80, 30}, {300, 160}, {40, 200}, {130, 260}};  // by Cholesky, then by Krylov space
    for (const auto & shape : shapes) {
        const auto s = random_sample(shape[0], shape[1], 24);
        for (const auto method : {rmd, wrmd, lda, logistic}) {
            for (const auto & lambdas : {few, many}) {
                const auto path = path_of(s, options_of(method), lambdas);
                CHECK_EQ(path.size(), lambdas.size());
                for (std::size_t i = 0; i < lambdas.size(); i++) {
                    const direction one = fitted(s, options_of(method, lambdas[i]));
                    CHECK_NEAR(distance(path[i].vector, one.vector), 0, 1e-6);
                    CHECK_NEAR(path[i].lambda, one.lambda, 1e-12 * one.lambda);
                    CHECK_NEAR(path[i].gap, one.gap, 1e-6 * one.gap);
                    CHECK(path[i].condition >= 1);
                }
            }
        }
    }
    // What one Krylov space cannot give is solved, or refused, as it is alone.
    const auto s = random_sample(400, 140, 25);
    const auto path = path_of(s, options_of(wrmd), {0, 0.1, 1, 2, 3, 4});
    CHECK_NEAR(distance(path[0].vector, fitted(s, options_of(wrmd, 0)).vector), 0, 1e-6);
    const auto narrow = random_sample(60, 140, 26);
    CHECK_THROWS_CODE(path_of(narrow, options_of(wrmd), {1, 0, 2, 3, 4, 5}), error_code::SINGULAR_MATRIX);
}

TEST(ridge_krylov_solutions_keep_their_bound) {
    for (const std::size_t d : {std::size_t(1), std::size_t(5), std::size_t(120)}) {
        const auto x = reference::random_matrix(2 * d, d, 27);
        auto a = reference::multiply(reference::transposed(x), x);
        for (std::size_t i = 0; i < d; i++) {
            for (std::size_t j = 0; j < d; j++) a(i, j) *= std::exp(-0.05 * double(i + j));
        }
        std::vector<double> b(d);
        for (std::size_t j = 0; j < d; j++) b[j] = std::cos(double(j));
        const std::vector<double> lambdas{1e-2, 1, 100, 0};
        const auto got = solve_shifted({a.data.data(), d, d}, b, lambdas, 500);
        CHECK(got.vectors[3].empty());
        for (std::size_t k = 0; k < 3; k++) {
            auto shifted = a;
            for (std::size_t j = 0; j < d; j++) shifted(j, j) += lambdas[k];
            const auto expected = reference::solve(shifted, b);
            CHECK_EQ(got.vectors[k].size(), d);
            double error = 0;
            for (std::size_t j = 0; j < d; j++) error += std::pow(got.vectors[k][j] - expected[j], 2);
            CHECK_NEAR(std::sqrt(error / reference::dot(expected, expected)), 0, 1e-9);
        }
        // Too few steps: left out rather than wrong.
        if (d == 120) CHECK(solve_shifted({a.data.data(), d, d}, b, {1e-6}, 3).vectors[0].empty());
    }
}

TEST(ridge_methods_refuse_what_they_cannot_do) {
    const auto s = random_sample(40, 6, 28);
    const auto keep = random_sample(10, 6, 29).x;
    for (const auto method : {pca, logistic}) {
        auto o = options_of(method);
        for (const auto mode : {preserve_mode::covariance_within, preserve_mode::covariance_pooled,
                                preserve_mode::pooled_and_projected}) {
            o.preserve = mode;
            CHECK_THROWS_CODE(fitted(s, o, keep), error_code::INVALID_ARGUMENT);
        }
    }
    for (const auto rule : {lambda_rule::oas, lambda_rule::ledoit_wolf, lambda_rule::leave_one_out}) {
        for (const auto method : {md, pca, logistic}) {
            CHECK_THROWS_CODE(fitted(s, options_of(method, 1, rule)), error_code::INVALID_ARGUMENT);
        }
        CHECK_THROWS_CODE(path_of(s, options_of(wrmd, 1, rule), {1, 2}), error_code::INVALID_ARGUMENT);
    }
    CHECK_THROWS_CODE(fitted(s, options_of(logistic, 0)), error_code::SINGULAR_MATRIX);
    CHECK_THROWS_CODE(path_of(s, options_of(wrmd), {}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(path_of(s, options_of(wrmd), {1, -1}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(path_of(s, options_of(wrmd), {1, NAN}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(path_of(s, options_of(md), {1, 2}), error_code::INVALID_ARGUMENT);
    CHECK_THROWS_CODE(path_of(s, options_of(pca), {1, 2}), error_code::INVALID_ARGUMENT);

    auto level = s;
    for (std::size_t i = 0; i < level.x.size(); i++) level.x[i] = float(i % 6);
    for (const auto method : {pca, lda, logistic}) {
        CHECK_THROWS_CODE(fitted(level, options_of(method)), error_code::INVALID_ARGUMENT);
    }
    reference::sample wide{8, 64, std::vector<float>(8 * 64, 0.3f), {1, -1, 1, -1, 1, -1, 1, -1}};
    CHECK_THROWS_CODE(fitted(wide, options_of(wrmd)), error_code::INVALID_ARGUMENT);
}
