#pragma once

#include <cstdint>
#include <vector>

/// A pushdown automaton over bytes, as compiled from a schema: what pushdown.h runs. Immutable.
namespace tidegate::worker::grammar {

using NodeId = std::uint32_t;

inline constexpr std::uint32_t kUnbounded = 0xFFFFFFFF;
/// Where a run is after its last byte: nothing may follow.
inline constexpr NodeId kFinal = 0;
/// Accepts and has no way on; shared by every rule that ends without a choice, so that calls before it are tail calls.
inline constexpr NodeId kDone = 1;
/// Stands before the bytes of a control token. No UTF-8 text has it, so text never passes for a control token.
inline constexpr char kControlByte = '\xFF';

/// What an edge asks of the counters of its frame (`least` and `most` still to come), and of the nesting.
enum class Op : std::uint8_t {
  kNone,
  kTake,  ///< one of `most` is left; counts one
  kStop,  ///< nothing of `least` is left
  kOpen,  ///< opens an object or an array: one level of nesting is left
};

struct Edge {
  std::uint8_t low = 0;
  std::uint8_t high = 0;  ///< inclusive
  Op op = Op::kNone;
  NodeId target = 0;
};

/// A rule and the counters its frame starts with: items of an array, characters of a string.
struct Target {
  NodeId start = 0;
  std::uint32_t least = 0;
  std::uint32_t most = kUnbounded;
  bool operator==(const Target&) const = default;
};

/// Runs another rule, then goes on at `resume`.
struct Call {
  Target target;
  NodeId resume = 0;
  std::uint8_t levels = 0;  ///< 1 for a member of a container: what it opens lies one level deeper
  Op op = Op::kNone;        ///< kNone or kTake
  bool tail = false;        ///< nothing is left to do at `resume`, so no frame is needed
};

struct Node {
  std::uint32_t edges_begin = 0, edges_end = 0;
  std::uint32_t calls_begin = 0, calls_end = 0;
  std::uint16_t need = 0;  ///< levels of nesting that the shortest way to the rule's end opens
  bool accepts = false;    ///< the rule may end here
  bool may_nest = false;   ///< some way on from here within the rule opens a level
};

struct Automaton {
  std::vector<Node> nodes;
  std::vector<Edge> edges;
  std::vector<Call> calls;
  Target root;
  NodeId shared_end = 0;   ///< nodes below are the same in every automaton (json_rules.h)
  NodeId string_body = 0;  ///< inside a plain string, between two characters
  std::uint16_t nesting_max = 0;
  std::uint16_t need_max = 0;  ///< the largest `need`
};

}  // namespace tidegate::worker::grammar
