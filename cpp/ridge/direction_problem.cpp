#include "direction_problem.h"

#include "base/error.h"
#include "builtin/builtin.h"

#include <cmath>

namespace llama_steer::ridge {

namespace {

// Means of float32 data that differ by less than this share of their size differ by rounding only.
constexpr double coincidence = 1e-13;

using vector = std::vector<double>;

double dot(const vector & a, const vector & b) { return builtin::dot(a.size(), a.data(), b.data()); }
double norm(const vector & a) { return std::sqrt(dot(a, a)); }

vector difference(const vector & a, const vector & b) {
    vector out(a.size());
    for (std::size_t j = 0; j < a.size(); j++) out[j] = a[j] - b[j];
    return out;
}

}  // namespace

class_means means_of(const direction_problem & problem, preserve_mode mode) {
    class_means m;
    m.complying = weighted_mean(problem.features, problem.complying);
    m.refusing = weighted_mean(problem.features, problem.refusing);
    m.shift = difference(m.refusing, m.complying);
    if (norm(m.shift) <= coincidence * (norm(m.refusing) + norm(m.complying) + problem.offset)) {
        throw error(error_code::INVALID_ARGUMENT,
                    "the means of the refusing and the complying rows coincide: no direction "
                    "tells them apart");
    }
    m.kept_shift = m.shift;
    if (mode != preserve_mode::none) m.preserve = weighted_mean(problem.preserve, problem.kept);
    if (!projects_out(mode)) return m;
    m.along = difference(m.preserve, m.complying);
    const double length = norm(m.along);
    if (length == 0) {
        m.along.clear();
        return m;
    }
    for (auto & value : m.along) value /= length;
    project_away(m.along, m.kept_shift.data());
    if (norm(m.kept_shift) <= coincidence * (norm(m.shift) + norm(m.complying) + problem.offset)) {
        throw error(error_code::INVALID_ARGUMENT,
                    "the refusing and the complying means differ only along the preserve set's "
                    "shift: projecting it out leaves no direction");
    }
    return m;
}

void project_away(const vector & along, double * x) {
    for (int pass = 0; pass < 2 && !along.empty(); pass++) {
        builtin::axpy(along.size(), -builtin::dot(along.size(), x, along.data()), along.data(), x);
    }
}

}  // namespace llama_steer::ridge
