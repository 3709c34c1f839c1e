#pragma once

#include "graph/seam.h"
#include "graph/site_map.h"

namespace llama_steer {

/// Reads the sites off the graphs of a context and changes nothing in them. The context must be made with
/// `n_tokens` tokens per micro-batch.
class site_probe final : public graph_client {
public:
    static constexpr int32_t n_tokens = 13;

    std::unique_ptr<graph_inputs> instrument(const built_graph & graph) override;

    /// Of the last graph of n_tokens tokens.
    const site_table & found() const { return found_; }

private:
    site_table found_;
};

}  // namespace llama_steer
