#pragma once

#include <cstdint>
#include <vector>

#include "base/core/result.h"
#include "worker/engine/grammar/automaton_builder.h"
#include "worker/engine/grammar/regex.h"

namespace tidegate::worker::grammar {

/// A deterministic automaton over the bytes between a string's quotes, in the canonical spelling (json_rules.h).
struct ByteDfa {
  struct Edge {
    std::uint8_t low = 0;
    std::uint8_t high = 0;
    std::uint32_t target = 0;
  };
  struct State {
    std::vector<Edge> edges;  ///< sorted, apart
    bool accepts = false;
  };
  std::vector<State> states;  ///< 0 is the start; at least one
};

/// What one schema may spend on patterns: they are where a small text can ask for a large automaton.
struct PatternBudget {
  std::uint32_t states_max = 0;  ///< of each automaton
  std::int64_t work_left = 0;    ///< sets and edges looked at, in all
};

/// The texts that the pattern matches. Fails: invalid_argument/pattern_too_complex.
Result<ByteDfa> compile_regex(const Regex& regex, PatternBudget& budget);
/// Texts of so many characters.
Result<ByteDfa> any_text(std::uint32_t least, std::uint32_t most, PatternBudget& budget);
/// Texts of both.
Result<ByteDfa> intersection(const ByteDfa& a, const ByteDfa& b, PatternBudget& budget);

/// From `from`, before the opening quote, to `to`, behind the closing one.
void add_string_of(AutomatonBuilder& builder, NodeId from, const ByteDfa& dfa, NodeId to);

}  // namespace tidegate::worker::grammar
