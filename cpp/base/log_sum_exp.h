#pragma once

#include <cstdint>

namespace llama_steer {

/// ln of the sum of e^logits[i], without overflow: what a logit has to be less by to be a log-probability. -infinity
/// where all are. To 1e-6; the exponentials are float32 (base/lanes.h), their sum is float64.
double log_sum_exp(const float * logits, int64_t count);

}  // namespace llama_steer
