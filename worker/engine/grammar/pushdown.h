#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include "worker/engine/grammar/automaton.h"

namespace tidegate::worker::grammar {

/// One way the automaton may have taken: where it is in a rule, what its frame still counts, and the frames below.
struct Config {
  NodeId node = 0;
  std::uint32_t least = 0;
  std::uint32_t most = kUnbounded;
  std::uint32_t stack = 0;
  auto operator<=>(const Config&) const = default;
};

struct ConfigHash {
  std::size_t operator()(const Config& config) const {
    std::uint64_t hash = config.node;
    for (const std::uint64_t part : {config.least, config.most, config.stack})
      hash = (hash ^ part) * 0x9E3779B97F4A7C15ULL ^ (hash >> 29);
    return static_cast<std::size_t>(hash);
  }
};

/// All ways at once, after some bytes. Empty: the bytes are no beginning of any sentence.
using Configs = std::vector<Config>;

/// Runs an automaton byte by byte. Ways that call the same rule at the same byte share one frame with several places
/// to return to (a graph-structured stack), so the ways held at once are bounded by the automaton's size, however
/// ambiguous the schema, and their frames by that times the nesting.
///
/// Frames live in an arena that only grows: an earlier state is restored by cutting it back, which makes rollback and
/// trying a token cost nothing. Frame 0 is the bottom: whatever returns to it has config {kFinal}. One thread.
class Pushdown {
 public:
  /// `depth` is how many levels lie below frame 0 already. The automaton must outlive this.
  explicit Pushdown(const Automaton& automaton, std::uint32_t depth = 0);

  struct Mark {
    std::uint32_t stacks = 0;
    std::uint32_t returns = 0;
  };
  Mark mark() const {
    return {static_cast<std::uint32_t>(stacks_.size()), static_cast<std::uint32_t>(returns_.size())};
  }
  /// Configs made since the mark are gone.
  void cut(Mark mark);

  /// Replaces `out`.
  void begin(const Target& target, Configs& out);
  /// Replaces `out`, which is another vector than `in`.
  void step(const Configs& in, std::uint8_t byte, Configs& out);
  /// The ways that go on below a frame when it ends. Replaces `out`.
  void resume(std::uint32_t stack, Configs& out);

  std::uint32_t depth(std::uint32_t stack) const { return stacks_[stack].depth; }
  std::size_t arena_size() const { return stacks_.size() + returns_.size(); }
  /// Keeps only what the configs refer to, and renames their frames. Earlier marks are void.
  void compact(std::span<Configs*> live);

 private:
  struct Stack {
    std::uint32_t first_return = 0;  ///< kUnbounded = none
    std::uint32_t depth = 0;
  };
  struct Return {
    Config config;
    std::uint32_t next = kUnbounded;
  };
  struct Push {
    Target target;
    std::uint32_t depth = 0;
    std::uint32_t stack = 0;
  };

  bool fits(NodeId node, std::uint32_t depth) const {
    const std::uint32_t need = automaton_->nodes[node].need;
    return need == 0 || depth + need <= automaton_->nesting_max;
  }
  void settle(Configs& out);
  bool add_once(const Config& config, Configs& out);
  void call(const Config& from, const Call& call);
  void add_return(std::uint32_t stack, const Config& config);

  const Automaton* automaton_;
  std::vector<Stack> stacks_;
  std::vector<Return> returns_;
  std::vector<Push> pushes_;                     ///< of the present byte
  Configs open_;                                 ///< still to be settled
  std::unordered_set<Config, ConfigHash> many_;  ///< what is in the vector being made, once it is long
};

}  // namespace tidegate::worker::grammar
