#include "direction_resampling.h"

#include "base/error.h"
#include "builtin/builtin.h"
#include "separation.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace llama_steer::ridge {

namespace {

using vector = std::vector<double>;

// SplitMix64. Source: Steele, Lea, Flood, OOPSLA 2014.
class random_bits {
public:
    explicit random_bits(std::uint64_t seed) : state_(seed) {}

    /// Below `bound`, each as likely as any other but for 2^-64 * bound.
    std::size_t below(std::size_t bound) {
        state_ += 0x9e3779b97f4a7c15u;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return static_cast<std::size_t>((z ^ (z >> 31)) % bound);
    }

private:
    std::uint64_t state_;
};

// The fold of each of `count` rows: as even as can be, in random order.
std::vector<std::size_t> folds_of(std::size_t count, std::size_t folds, random_bits & random) {
    std::vector<std::size_t> out(count);
    for (std::size_t i = 0; i < count; i++) out[i] = i % folds;
    for (std::size_t i = count; i > 1; i--) std::swap(out[i - 1], out[random.below(i)]);
    return out;
}

// One class cut into folds.
class folded_rows {
public:
    folded_rows(const weighted_rows & all, std::size_t folds, random_bits & random)
        : all_(all), fold_(folds_of(all.count(), folds, random)) {}

    weighted_rows without(std::size_t fold) const {
        weighted_rows out;
        for (std::size_t i = 0; i < fold_.size(); i++) {
            if (fold_[i] == fold) continue;
            out.rows.push_back(all_.rows[i]);
            out.weights.push_back(all_.weights[i]);
        }
        return out;
    }

    std::vector<std::size_t> within(std::size_t fold) const {
        std::vector<std::size_t> out;
        for (std::size_t i = 0; i < fold_.size(); i++) {
            if (fold_[i] == fold) out.push_back(all_.rows[i]);
        }
        return out;
    }

private:
    const weighted_rows & all_;
    std::vector<std::size_t> fold_;
};

void check_folds(std::size_t rows, std::size_t folds, const char * what) {
    if (rows >= folds) return;
    throw error(error_code::EMPTY_CLASS, "a cross-validation of " + std::to_string(folds) +
                                             " folds needs as many rows of each class, but " + std::to_string(rows) +
                                             " " + what);
}

weighted_rows drawn(const weighted_rows & from, random_bits & random) {
    weighted_rows out;
    for (std::size_t i = 0; i < from.count(); i++) {
        const std::size_t chosen = random.below(from.count());
        out.rows.push_back(from.rows[chosen]);
        out.weights.push_back(from.weights[chosen]);
    }
    return out;
}

error in_refit(const error & e, const char * what, std::size_t number) {
    return error(e.code(), std::string(what) + " " + std::to_string(number) + ": " + e.what());
}

std::vector<direction_solution> solve_again(const direction_problem & problem, const direction_options & options,
                                            const vector & lambdas, const abort_check & aborted, const char * what,
                                            std::size_t number) {
    try {
        return solve_directions(problem, options, lambdas, aborted);
    } catch (const error & e) {
        throw in_refit(e, what, number);
    }
}

void add_share(separation & sum, const separation & value, double share) {
    sum.auc += share * value.auc;
    sum.cohens_d += share * value.cohens_d;
    sum.correlation += share * value.correlation;
    sum.spearman += share * value.spearman;
}

}  // namespace

vector project_rows(const row_set & rows, const vector & v) {
    vector out(rows.rows()), row(rows.cols());
    for (std::size_t i = 0; i < out.size(); i++) {
        rows.read(i, row.data());
        out[i] = builtin::dot(row.size(), row.data(), v.data());
    }
    return out;
}

separation separation_of(const vector & projections, const double * scores, const std::vector<std::size_t> & refusing,
                         const std::vector<std::size_t> & complying, const std::vector<std::size_t> & neutral) {
    vector all, scored;
    const auto of = [&](const std::vector<std::size_t> & rows) {
        vector out;
        for (const std::size_t i : rows) {
            out.push_back(projections[i]);
            all.push_back(projections[i]);
            scored.push_back(scores[i]);
        }
        return out;
    };
    const vector above = of(refusing), below = of(complying);
    of(neutral);
    return {area_under_curve(above, below), cohens_d(above, below), correlation(all, scored),
            rank_correlation(all, scored)};
}

std::vector<separation> cross_validate(const direction_problem & problem, const direction_options & options,
                                       const vector & lambdas, const std::vector<std::size_t> & neutral,
                                       const abort_check & aborted, const fit_step & step) {
    const std::size_t folds = options.resampling.folds;
    check_folds(problem.refusing.count(), folds, "refuse");
    check_folds(problem.complying.count(), folds, "comply");
    if (options.preserve != preserve_mode::none) check_folds(problem.kept.count(), folds, "are to be preserved");
    random_bits random(options.resampling.seed);
    const weighted_rows others{neutral, vector(neutral.size(), 1.0)};
    const folded_rows refusing(problem.refusing, folds, random), complying(problem.complying, folds, random);
    const folded_rows undecided(others, folds, random), kept(problem.kept, folds, random);

    std::vector<separation> means(lambdas.size(), separation{0, 0, 0, 0});
    for (std::size_t fold = 0; fold < folds; fold++) {
        direction_problem rest = problem;
        rest.refusing = refusing.without(fold);
        rest.complying = complying.without(fold);
        rest.kept = kept.without(fold);
        const auto solved = solve_again(rest, options, lambdas, aborted, "fold", fold);
        for (std::size_t i = 0; i < solved.size(); i++) {
            const vector projections = project_rows(problem.features, solved[i].vector);
            add_share(means[i],
                      separation_of(projections, problem.scores, refusing.within(fold), complying.within(fold),
                                    undecided.within(fold)),
                      1 / double(folds));
        }
        if (step) step();
    }
    return means;
}

vector bootstrap_stability(const direction_problem & problem, const direction_options & options, const vector & lambdas,
                           const abort_check & aborted, const fit_step & step) {
    const std::size_t resamples = options.resampling.resamples;
    random_bits random(options.resampling.seed);
    // Of unit vectors: |sum|^2 is their number, and twice the cosines of all pairs.
    std::vector<vector> sums(lambdas.size(), vector(problem.cols()));
    for (std::size_t number = 0; number < resamples; number++) {
        direction_problem sample = problem;
        sample.refusing = drawn(problem.refusing, random);
        sample.complying = drawn(problem.complying, random);
        sample.kept = drawn(problem.kept, random);
        const auto solved = solve_again(sample, options, lambdas, aborted, "resample", number);
        for (std::size_t i = 0; i < solved.size(); i++) {
            const vector & v = solved[i].vector;
            builtin::axpy(v.size(), 1 / std::sqrt(builtin::dot(v.size(), v.data(), v.data())), v.data(),
                          sums[i].data());
        }
        if (step) step();
    }
    vector cosines;
    const double count = double(resamples);
    for (const vector & sum : sums) {
        cosines.push_back((builtin::dot(sum.size(), sum.data(), sum.data()) - count) / (count * (count - 1)));
    }
    return cosines;
}

}  // namespace llama_steer::ridge
