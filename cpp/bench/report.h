#pragma once

#include "bench/quantiles.h"

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace llama_steer::bench {

/// One side in one workload.
struct report_row {
    std::string model;
    std::string workload;
    std::string side;
    double milliseconds = 0;  ///< median of a step
    quantiles ratio;          ///< to the baseline's step next to it
    double tokens_per_second = 0;
    uint64_t graphs_built = 0;  ///< in all timed steps
    std::vector<double> more;   ///< of report::columns
};

/// A figure that one benchmark has besides those that all have.
struct report_column {
    std::string title;     ///< in tables
    std::string name;      ///< in JSON
    double divisor = 1.0;  ///< of what tables show
};

struct report_goal {
    std::string name;
    double value = 0;
    double limit = 0;

    bool is_met() const { return value <= limit; }
};

struct report {
    std::vector<std::pair<std::string, std::string>> machine;
    std::vector<std::pair<std::string, std::string>> versions;
    std::vector<std::string> notes;
    std::vector<report_column> columns;
    std::vector<report_row> rows;
    std::vector<report_goal> goals;
};

inline std::string json_string(const std::string & text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            quoted += '\\';
        }
        quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return quoted + "\"";
}

inline void print_json(const report & all) {
    const auto print_texts = [](const char * name, const std::vector<std::pair<std::string, std::string>> & texts) {
        std::printf("  \"%s\": {", name);
        for (size_t i = 0; i < texts.size(); ++i) {
            std::printf("%s%s: %s", i > 0 ? ", " : "", json_string(texts[i].first).c_str(),
                        json_string(texts[i].second).c_str());
        }
        std::printf("},\n");
    };
    std::printf("{\n");
    print_texts("machine", all.machine);
    print_texts("versions", all.versions);
    std::printf("  \"notes\": [");
    for (size_t i = 0; i < all.notes.size(); ++i) {
        std::printf("%s%s", i > 0 ? ", " : "", json_string(all.notes[i]).c_str());
    }
    std::printf("],\n  \"rows\": [\n");
    for (size_t i = 0; i < all.rows.size(); ++i) {
        const report_row & row = all.rows[i];
        std::printf(
            "    {\"case\": %s, \"median\": %.4f, \"spread\": [%.4f, %.4f], \"ratio\": %.4f, "
            "\"tokensPerSecond\": %.1f",
            json_string(row.model + ", " + row.workload + ": " + row.side).c_str(), row.milliseconds, row.ratio.low,
            row.ratio.high, row.ratio.median, row.tokens_per_second);
        for (size_t k = 0; k < row.more.size(); ++k) {
            std::printf(", %s: %.10g", json_string(all.columns[k].name).c_str(), row.more[k]);
        }
        std::printf(", \"graphsBuilt\": %llu}%s\n", static_cast<unsigned long long>(row.graphs_built),
                    i + 1 < all.rows.size() ? "," : "");
    }
    std::printf("  ],\n  \"goals\": [\n");
    for (size_t i = 0; i < all.goals.size(); ++i) {
        const report_goal & goal = all.goals[i];
        std::printf("    {\"name\": %s, \"value\": %.6g, \"limit\": %.6g, \"met\": %s}%s\n",
                    json_string(goal.name).c_str(), goal.value, goal.limit, goal.is_met() ? "true" : "false",
                    i + 1 < all.goals.size() ? "," : "");
    }
    std::printf("  ]\n}\n");
}

/// A table for people.
inline void print_tables(const report & all) {
    for (const auto & texts : {all.machine, all.versions}) {
        for (const auto & [name, value] : texts) {
            std::printf("%s: %s\n", name.c_str(), value.c_str());
        }
    }
    for (size_t i = 0; i < all.rows.size(); ++i) {
        const report_row & row = all.rows[i];
        if (i == 0 || row.workload != all.rows[i - 1].workload || row.model != all.rows[i - 1].model) {
            std::printf("\n%s, %s\n%-38s %9s %9s %7s %-16s", row.model.c_str(), row.workload.c_str(), "side", "ms/step",
                        "tokens/s", "ratio", " 95 % interval");
            for (const report_column & column : all.columns) {
                std::printf(" %12s", column.title.c_str());
            }
            std::printf(" %7s\n", "graphs");
        }
        std::printf("%-38s %9.3f %9.1f %7.4f %.4f to %.4f", row.side.c_str(), row.milliseconds, row.tokens_per_second,
                    row.ratio.median, row.ratio.low, row.ratio.high);
        for (size_t k = 0; k < row.more.size(); ++k) {
            std::printf(" %12.5g", row.more[k] / all.columns[k].divisor);
        }
        std::printf(" %7llu\n", static_cast<unsigned long long>(row.graphs_built));
    }
    std::printf("\n");
    for (const std::string & note : all.notes) {
        std::printf("%s\n", note.c_str());
    }
    std::printf("\n%-72s %10s %8s\n", "goal", "value", "limit");
    for (const report_goal & goal : all.goals) {
        std::printf("%-72s %10.4f %8.4f  %s\n", goal.name.c_str(), goal.value, goal.limit,
                    goal.is_met() ? "met" : "MISSED");
    }
}

}  // namespace llama_steer::bench
