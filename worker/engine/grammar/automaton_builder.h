#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "worker/engine/grammar/automaton.h"

namespace tidegate::worker::grammar {

/// Puts an automaton together. Past its limits it goes on taking calls and makes nothing of them; finish() then
/// fails, so that callers need no check at every step (loops that might run long ask full()).
class AutomatonBuilder {
 public:
  struct Limits {
    std::uint32_t nodes_max = 0;
    std::uint32_t edges_max = 0;
    std::uint16_t nesting_max = 0;
  };
  struct Draft {
    std::vector<Edge> edges;
    std::vector<Call> calls;
    std::vector<NodeId> empties;  ///< ways on without a byte
    bool accepts = false;
  };

  explicit AutomatonBuilder(Limits limits);

  NodeId node();
  void accept(NodeId at) { drafts_[at].accepts = true; }
  void edge(NodeId from, std::uint8_t low, std::uint8_t high, NodeId to, Op op = Op::kNone);
  void edge(NodeId from, char byte, NodeId to, Op op = Op::kNone) {
    edge(from, static_cast<std::uint8_t>(byte), static_cast<std::uint8_t>(byte), to, op);
  }
  /// The bytes, one after the other.
  void literal(NodeId from, std::string_view bytes, NodeId to);
  /// Any one of the texts; beginnings are shared.
  void literals(NodeId from, const std::vector<std::string>& texts, NodeId to);
  void empty(NodeId from, NodeId to);
  void call(NodeId from, Target target, NodeId resume, std::uint8_t levels, Op op = Op::kNone);

  const Draft& draft(NodeId at) const { return drafts_[at]; }
  NodeId nodes() const { return static_cast<NodeId>(drafts_.size()); }
  bool full() const { return full_; }

  /// Nodes made so far get the same numbers in every automaton that begins with the same calls.
  void end_shared(NodeId string_body);

  /// Empty ways are folded in, and whatever cannot reach an end within the nesting is cut off, so every run can end.
  /// Fails: invalid_argument/schema_too_complex (field ""), schema_recursion (a rule that begins with itself),
  /// schema_unsatisfiable.
  Result<Automaton> finish(Target root);

 private:
  bool fold(Automaton& out);
  bool begins_with_itself(const Automaton& automaton) const;
  void measure(Automaton& automaton) const;
  void prune(Automaton& automaton) const;

  Limits limits_;
  std::vector<Draft> drafts_;
  std::uint32_t edges_ = 0;
  bool full_ = false;
  NodeId shared_end_ = 0;
  NodeId string_body_ = 0;
};

}  // namespace tidegate::worker::grammar
