#include "shrinkage.h"

#include <algorithm>

namespace llama_steer::ridge {

double oas_shrinkage(const shrinkage_sums & sums) {
    if (sums.cols == 1) return 0;
    const double d = double(sums.cols), mean = sums.trace / sums.weight / d;
    const double square = sums.squared / (sums.weight * sums.weight) / (d * d);
    const double spread = (sums.rows + 1) * (square - mean * mean / d);
    return spread > 0 ? std::min(1.0, (square + mean * mean) / spread) : 1;
}

double ledoit_wolf_shrinkage(const shrinkage_sums & sums) {
    if (sums.cols == 1) return 0;
    const double d = double(sums.cols), squared_weight = sums.weight * sums.weight;
    const double square = sums.squared / squared_weight, mean = sums.trace / sums.weight / d;
    const double distance = square - d * mean * mean;
    const double error = std::min(sums.fourth / squared_weight - square / sums.rows, distance);
    return error > 0 ? error / distance : 0;
}

double lambda_of_shrinkage(double shrinkage) {
    constexpr double most = 4503599627370496.0;
    return shrinkage < 1 ? std::min(most, shrinkage / (1 - shrinkage)) : most;
}

}  // namespace llama_steer::ridge
