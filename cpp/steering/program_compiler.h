#pragma once

#include "steering/condition_memory.h"
#include "steering/report_board.h"
#include "steering/row_programs.h"

#include <cstdint>
#include <deque>

namespace llama_steer {

/// A token whose row is compiled.
struct token_row {
    int32_t sequence;
    int32_t position;
    bool output;
};

/// The programs of one site: of all rows, and of the output rows alone, which the last block computes.
struct site_programs {
    int32_t site;
    row_programs full;
    row_programs cut;
};

/// Compiles the lists of sequences to what is done to each row of a micro-batch. Decoding thread only.
class program_compiler {
public:
    program_compiler(condition_memory & conditions, report_board & reports)
        : conditions_(conditions), reports_(reports) {}

    /// Begins a micro-batch. A deque, since graphs know the addresses of its elements.
    void begin(std::deque<site_programs> & sites);
    /// Appends the row of `token`, steered by `list` (may be null), to the programs of every site.
    void add_row(std::deque<site_programs> & sites, const steering_list * list, const batch_layout & layout,
                 const token_row & token);

private:
    void add_intervention(std::deque<site_programs> & sites, const intervention & each, const batch_layout & layout,
                          const token_row & token);
    int32_t add_truths(std::deque<site_programs> & sites, row_programs & programs, const condition & when,
                       const batch_layout & layout, const token_row & token, bool acts);

    condition_memory & conditions_;
    report_board & reports_;
    std::deque<float> own_;  ///< measured on single rows; a deque: places stay where they are
};

/// Of what is done to a token and what is remembered of it: equal values, equal contents of the memory, where the
/// tokens and the memory before were equal. 0 where nothing is done.
uint64_t hash_of_actions(const steering_list * list, const batch_layout & layout, const token_row & token);

}  // namespace llama_steer
