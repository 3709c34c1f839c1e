// Sequences do not leak: 64 of them, steered at random and changed at random in one context, compute what each computes
// in a context of its own.

#include "check.h"
#include "model/steering_fit.h"
#include "random_steering.h"
#include "synthetic_models.h"
#include "testbed.h"

#include <algorithm>
#include <cmath>
#include <set>

using namespace llama_steer;
using random_steering::dice;

namespace {

constexpr int32_t n_sequences = 64;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int n_steps = 60;  // sanitizers look at memory, and are many times slower
#else
constexpr int n_steps = 500;
#endif
constexpr int32_t context_size = 96;

const std::shared_ptr<const model> & tiny() {
    static const std::shared_ptr<const model> loaded = synthetic::tiny_model("llama");
    return loaded;
}

context_options options(int32_t sequences) { return testbed::exact_options(sequences, context_size); }

/// Something that happens to one sequence.
struct event {
    enum class kind { list, numbers, unsteer, truncate, tokens };
    kind what;
    uint64_t seed = 0;          ///< of the list, or the numbers
    int32_t position = 0;       ///< to truncate to
    evaluate_entry entry = {};  ///< of the tokens; its sequence is filled in
};

/// Carries out the events of one sequence of an engine.
class player {
public:
    player(testbed::waiting_engine & engine, int32_t sequence) : engine_(engine), sequence_(sequence) {}

    /// All but tokens.
    void change(const event & each) {
        switch (each.what) {
            case event::kind::list:
                list_ = random_steering::random_list(each.seed, *tiny());
                engine_.steer(sequence_, list_);
                return;
            case event::kind::unsteer:
                list_ = nullptr;
                engine_.steer(sequence_, nullptr);
                return;
            case event::kind::numbers: {
                dice random(each.seed);
                const std::shared_ptr<intervention> & target = list_->at(random.below(list_->size()));
                engine_.set_numbers(target, random_steering::random_numbers(random, target->kind()));
                return;
            }
            case event::kind::truncate:
                engine_.truncate(sequence_, each.position);
                return;
            case event::kind::tokens:
                return;
        }
    }
    bool steered() const { return list_ != nullptr; }
    int32_t position() const { return engine_.get().position(sequence_); }
    evaluate_entry entry(const event & each) const {
        evaluate_entry made = each.entry;
        made.sequence = sequence_;
        return made;
    }

private:
    testbed::waiting_engine & engine_;
    int32_t sequence_;
    std::shared_ptr<const steering_list> list_;
};

std::vector<int32_t> random_tokens(dice & random, size_t count) {
    std::vector<int32_t> tokens;
    while (tokens.size() < count) {
        tokens.push_back(static_cast<int32_t>(random.below(256)));
    }
    return tokens;
}

/// What happens to a sequence in one step; the last are its tokens, if any.
std::vector<event> random_events(dice & random, const player & now, bool answering) {
    std::vector<event> events;
    const size_t choice = random.below(24);
    const bool full = now.position() + 14 > context_size;
    bool prompt = now.position() == 0 || !answering;
    if (full || choice == 0) {
        // It ends, and another takes its place.
        events.push_back({event::kind::truncate});
        events.push_back({random.one_in(6) ? event::kind::unsteer : event::kind::list, random.seed()});
        prompt = true;
    } else if (choice == 1) {
        events.push_back({event::kind::list, random.seed()});
    } else if (choice <= 4 && now.steered()) {
        events.push_back({event::kind::numbers, random.seed()});
    } else if (choice == 5 && now.position() > 4) {
        events.push_back(
            {event::kind::truncate, 0, static_cast<int32_t>(random.below(static_cast<size_t>(now.position())))});
        prompt = prompt || random.one_in(2) || events.back().position == 0;
    } else if (choice == 6) {
        prompt = true;  // the conversation goes on
    } else if (choice > 14) {
        return events;  // nothing at all
    }
    event tokens{event::kind::tokens};
    tokens.entry.tokens = random_tokens(random, prompt ? 2 + random.below(9) : 1);
    tokens.entry.generated = !prompt;
    tokens.entry.ends_prompt = prompt && !random.one_in(4);
    events.push_back(tokens);
    return events;
}

struct history {
    std::vector<event> events;
    std::vector<float> logits;  ///< of every evaluation's last token
};

size_t vocabulary() { return static_cast<size_t>(tiny()->info().vocabulary_size); }

/// All sequences in one context, step by step.
std::vector<history> run_together() {
    dice random(20240607);
    testbed::waiting_engine engine(options(n_sequences), tiny());
    std::vector<player> players;
    std::vector<bool> answering(n_sequences, false);
    for (int32_t sequence = 0; sequence < n_sequences; ++sequence) {
        players.emplace_back(engine, sequence);
    }
    std::vector<history> histories(n_sequences);
    std::vector<float> logits(n_sequences * vocabulary());
    for (int step = 0; step < n_steps; ++step) {
        std::vector<evaluate_entry> entries;
        for (size_t i = 0; i < n_sequences; ++i) {
            std::vector<event> events = random_events(random, players[i], answering[i]);
            if (step == 0) {
                events.insert(events.begin(), {event::kind::list, random.seed()});
            }
            for (const event & each : events) {
                players[i].change(each);
                if (each.what == event::kind::tokens) {
                    entries.push_back(players[i].entry(each));
                    answering[i] = each.entry.generated || each.entry.ends_prompt;
                }
                histories[i].events.push_back(each);
            }
        }
        // In any order.
        for (size_t i = entries.size(); i > 1; --i) {
            std::swap(entries[i - 1], entries[random.below(i)]);
        }
        if (entries.empty()) {
            continue;
        }
        engine.evaluate(entries, &logits);
        for (size_t i = 0; i < entries.size(); ++i) {
            std::vector<float> & to = histories[static_cast<size_t>(entries[i].sequence)].logits;
            const auto begin = logits.begin() + static_cast<long>(i * vocabulary());
            to.insert(to.end(), begin, begin + static_cast<long>(vocabulary()));
        }
    }
    return histories;
}

/// One sequence's events in a context of its own.
std::vector<float> run_alone(const std::vector<event> & events) {
    testbed::waiting_engine engine(options(1), tiny());
    player only(engine, 0);
    std::vector<float> all;
    std::vector<float> logits(vocabulary());
    for (const event & each : events) {
        only.change(each);
        if (each.what == event::kind::tokens) {
            engine.evaluate({only.entry(each)}, &logits);
            all.insert(all.end(), logits.begin(), logits.end());
        }
    }
    return all;
}

/// The same with nothing steered.
std::vector<float> run_unsteered(std::vector<event> events) {
    events.erase(std::remove_if(events.begin(), events.end(),
                                [](const event & each) {
                                    return each.what == event::kind::list || each.what == event::kind::numbers;
                                }),
                 events.end());
    return run_alone(events);
}

double distance(const std::vector<float> & a, const std::vector<float> & b) {
    double worst = a.size() == b.size() ? 0 : INFINITY;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        worst = std::max(worst, static_cast<double>(std::fabs(a[i] - b[i])));
    }
    return worst;
}

}  // namespace

TEST(isolation_of_64_sequences_over_many_steps) {
    const std::vector<history> together = run_together();
    double worst = 0;
    size_t n_evaluations = 0;
    for (size_t i = 0; i < together.size(); ++i) {
        const double apart = distance(together[i].logits, run_alone(together[i].events));
        worst = std::max(worst, apart);
        n_evaluations += together[i].logits.size() / vocabulary();
        if (!(apart <= 1e-4)) {
            check::fail(__FILE__, __LINE__, "sequence " + std::to_string(i) + " is off by " + std::to_string(apart));
        }
    }
    CHECK(n_evaluations > 20 * n_steps);
    // Steering does a great deal here, so that another's would show.
    CHECK(distance(together[0].logits, run_unsteered(together[0].events)) > 0.1);
    std::printf("    isolation: %zu evaluations, largest difference %.2g\n", n_evaluations, worst);
}

/// What the lists above are made of.
TEST(isolation_is_tried_with_everything_that_steers) {
    std::set<operation> kinds;
    std::set<int32_t> sites;
    std::set<token_scope> scopes;
    std::set<schedule_shape> shapes;
    std::set<condition_latch> latches;
    size_t n_kept = 0;
    for (uint64_t seed = 0; seed < 200; ++seed) {
        const std::shared_ptr<const steering_list> list = random_steering::random_list(seed, *tiny());
        for (const std::shared_ptr<intervention> & each : *list) {
            check_fit(*tiny(), *each);
            kinds.insert(each->kind());
            sites.insert(each->site());
            scopes.insert(each->tokens().selection().scope);
            n_kept += each->preserve_norm() ? 1 : 0;
            for (const schedule_phase & phase : each->numbers().strength.phases()) {
                for (const schedule_segment & segment : phase.segments) {
                    shapes.insert(segment.shape);
                }
            }
            if (each->when() != nullptr) {
                for (const condition_probe * probe : each->when()->probes()) {
                    latches.insert(probe->latch);
                }
            }
        }
    }
    CHECK_EQ(kinds.size(), 8U);
    CHECK_EQ(sites.size(), 5U);
    CHECK_EQ(scopes.size(), 7U);  // all but outputs
    CHECK_EQ(shapes.size(), 4U);
    CHECK_EQ(latches.size(), 4U);
    CHECK(n_kept > 50);
}
