#pragma once

#include "bench/workload.h"

#include <cstdint>

namespace llama_steer::bench {

/// Rows of one layer's residual after a step. Valid until the side's next step.
struct captured_rows {
    const void * data = nullptr;  ///< [count][hidden size]; null: this side has none of that layer
    int64_t count = 0;
    bool half = false;  ///< IEEE half precision instead of float32
};

/// One of the contexts that are compared: of the same model, with the same options, fed the same batches.
class side {
public:
    side() = default;
    virtual ~side() = default;
    side(const side &) = delete;
    side & operator=(const side &) = delete;

    /// What has to be done before a step and is no part of it. Not timed.
    virtual void prepare(const step_batch & /*batch*/) {}
    /// Runs one forward pass to its end, what is captured with it included. This is what is timed. Throws where the
    /// pass fails.
    virtual void decode(const step_batch & batch) = 0;
    /// Forgets the tokens of `sequence` from `position` on.
    virtual void cut(int32_t sequence, int32_t position) = 0;

    virtual uint64_t graphs_reused() const = 0;
    /// Bytes of captured rows that were copied to where the caller finds them, ever.
    virtual uint64_t bytes_copied() const { return 0; }
    /// Bytes of the rows that the last step captured.
    virtual uint64_t bytes_captured() const { return 0; }
    virtual captured_rows rows(int32_t /*layer*/) const { return {}; }
};

}  // namespace llama_steer::bench
