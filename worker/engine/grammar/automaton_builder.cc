#include "worker/engine/grammar/automaton_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>

namespace tidegate::worker::grammar {
namespace {

constexpr std::uint16_t kNever = std::numeric_limits<std::uint16_t>::max();

// For each node, the nodes whose facts depend on its own.
class Dependents {
 public:
  explicit Dependents(const Automaton& automaton) : first_(automaton.nodes.size() + 1) {
    each(automaton, [this](NodeId on, NodeId) { ++first_[on + 1]; });
    for (std::size_t n = 1; n < first_.size(); ++n) first_[n] += first_[n - 1];
    flat_.resize(first_.back());
    std::vector<std::uint32_t> next(first_.begin(), first_.end() - 1);
    each(automaton, [&](NodeId on, NodeId node) { flat_[next[on]++] = node; });
  }

  template <typename Visit>
  void of(NodeId node, Visit visit) const {
    for (std::uint32_t n = first_[node]; n < first_[node + 1]; ++n) visit(flat_[n]);
  }

 private:
  template <typename Visit>
  static void each(const Automaton& automaton, Visit visit) {
    for (NodeId id = 0; id < automaton.nodes.size(); ++id) {
      const Node& node = automaton.nodes[id];
      for (std::uint32_t e = node.edges_begin; e < node.edges_end; ++e) visit(automaton.edges[e].target, id);
      for (std::uint32_t c = node.calls_begin; c < node.calls_end; ++c) {
        visit(automaton.calls[c].target.start, id);
        visit(automaton.calls[c].resume, id);
      }
    }
  }

  std::vector<std::uint32_t> first_;
  std::vector<NodeId> flat_;
};

std::uint32_t call_need(const Automaton& automaton, const Call& call) {
  const std::uint32_t need = automaton.nodes[call.target.start].need;
  return need == 0 || need == kNever ? need : need + call.levels;
}

// Whether the node's end can be reached by opening at most `levels`, going by what is known of the others.
bool ends_within(const Automaton& automaton, const Node& node, std::uint32_t levels) {
  if (node.accepts) return true;
  for (std::uint32_t e = node.edges_begin; e < node.edges_end; ++e) {
    const Edge& edge = automaton.edges[e];
    if (edge.op == Op::kOpen && levels == 0) continue;
    if (automaton.nodes[edge.target].need <= levels) return true;
  }
  for (std::uint32_t c = node.calls_begin; c < node.calls_end; ++c) {
    const Call& call = automaton.calls[c];
    if (call_need(automaton, call) <= levels && automaton.nodes[call.resume].need <= levels) return true;
  }
  return false;
}

bool is_dead(const Automaton& automaton, const Call& call) {
  return automaton.nodes[call.target.start].need == kNever || automaton.nodes[call.resume].need == kNever;
}

}  // namespace

AutomatonBuilder::AutomatonBuilder(Limits limits) : limits_(limits) {
  drafts_.resize(2);  // kFinal, kDone
  drafts_[kFinal].accepts = true;
  drafts_[kDone].accepts = true;
}

NodeId AutomatonBuilder::node() {
  if (drafts_.size() >= limits_.nodes_max) {
    full_ = true;
    return kDone;
  }
  drafts_.emplace_back();
  return nodes() - 1;
}

void AutomatonBuilder::edge(NodeId from, std::uint8_t low, std::uint8_t high, NodeId to, Op op) {
  if (++edges_ > limits_.edges_max) full_ = true;
  if (!full_) drafts_[from].edges.push_back({low, high, op, to});
}

void AutomatonBuilder::literal(NodeId from, std::string_view bytes, NodeId to) {
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const NodeId next = n + 1 == bytes.size() ? to : node();
    edge(from, bytes[n], next);
    from = next;
  }
  if (bytes.empty()) empty(from, to);
}

void AutomatonBuilder::literals(NodeId from, const std::vector<std::string>& texts, NodeId to) {
  std::map<std::pair<NodeId, char>, NodeId> trie;
  for (const std::string& text : texts) {
    NodeId at = from;
    for (const char byte : text) {
      if (full_) return;
      const auto [found, is_new] = trie.try_emplace({at, byte}, 0);
      if (is_new) {
        found->second = node();
        edge(at, byte, found->second);
      }
      at = found->second;
    }
    empty(at, to);
  }
}

void AutomatonBuilder::empty(NodeId from, NodeId to) {
  if (++edges_ > limits_.edges_max) full_ = true;
  if (!full_) drafts_[from].empties.push_back(to);
}

void AutomatonBuilder::call(NodeId from, Target target, NodeId resume, std::uint8_t levels, Op op) {
  if (++edges_ > limits_.edges_max) full_ = true;
  if (!full_) drafts_[from].calls.push_back({target, resume, levels, op, false});
}

void AutomatonBuilder::end_shared(NodeId string_body) {
  shared_end_ = nodes();
  string_body_ = string_body;
}

// Copies every node with what it reaches by empty ways. False if that is more than the limit.
bool AutomatonBuilder::fold(Automaton& out) {
  std::vector<std::uint32_t> seen(drafts_.size(), kUnbounded);
  std::vector<NodeId> reached;
  for (NodeId id = 0; id < nodes(); ++id) {
    Node node{.edges_begin = static_cast<std::uint32_t>(out.edges.size()),
              .calls_begin = static_cast<std::uint32_t>(out.calls.size())};
    reached.assign(1, id);
    seen[id] = id;
    for (std::size_t n = 0; n < reached.size(); ++n) {
      const Draft& draft = drafts_[reached[n]];
      node.accepts = node.accepts || draft.accepts;
      out.edges.insert(out.edges.end(), draft.edges.begin(), draft.edges.end());
      out.calls.insert(out.calls.end(), draft.calls.begin(), draft.calls.end());
      for (const NodeId next : draft.empties) {
        if (seen[next] != id) reached.push_back(next);
        seen[next] = id;
      }
    }
    if (out.edges.size() + out.calls.size() > limits_.edges_max) return false;
    node.edges_end = static_cast<std::uint32_t>(out.edges.size());
    node.calls_end = static_cast<std::uint32_t>(out.calls.size());
    out.nodes.push_back(node);
  }
  return true;
}

// Some rule calls itself before it has read a byte: a run would never get on.
bool AutomatonBuilder::begins_with_itself(const Automaton& automaton) const {
  enum : std::uint8_t { kNew, kOpenYet, kClosed };
  std::vector<std::uint8_t> state(automaton.nodes.size(), kNew);
  std::vector<std::pair<NodeId, std::uint32_t>> path;  // node and its next call
  for (NodeId root = 0; root < automaton.nodes.size(); ++root) {
    if (state[root] != kNew) continue;
    state[root] = kOpenYet;
    path.emplace_back(root, automaton.nodes[root].calls_begin);
    while (!path.empty()) {
      const NodeId at = path.back().first;
      if (path.back().second == automaton.nodes[at].calls_end) {
        state[at] = kClosed;
        path.pop_back();
        continue;
      }
      const NodeId next = automaton.calls[path.back().second++].target.start;
      if (state[next] == kOpenYet) return true;
      if (state[next] == kClosed) continue;
      state[next] = kOpenYet;
      path.emplace_back(next, automaton.nodes[next].calls_begin);
    }
  }
  return false;
}

// Sets need and may_nest of every node. Level by level: each pass over the edges finds the nodes that end within one
// level more, so the work is linear in edges times nesting whatever the schema.
void AutomatonBuilder::measure(Automaton& automaton) const {
  const Dependents dependents(automaton);
  for (Node& node : automaton.nodes) node.need = kNever;
  std::vector<NodeId> open;
  for (std::uint16_t levels = 0; levels <= limits_.nesting_max; ++levels) {
    for (NodeId id = 0; id < automaton.nodes.size(); ++id) open.push_back(id);
    while (!open.empty()) {
      const NodeId id = open.back();
      open.pop_back();
      Node& node = automaton.nodes[id];
      if (node.need != kNever || !ends_within(automaton, node, levels)) continue;
      node.need = levels;
      dependents.of(id, [&](NodeId other) {
        if (automaton.nodes[other].need == kNever) open.push_back(other);
      });
    }
  }
  for (NodeId id = 0; id < automaton.nodes.size(); ++id) {
    Node& node = automaton.nodes[id];
    for (std::uint32_t e = node.edges_begin; e < node.edges_end; ++e)
      node.may_nest = node.may_nest || automaton.edges[e].op == Op::kOpen;
    for (std::uint32_t c = node.calls_begin; c < node.calls_end; ++c)
      node.may_nest = node.may_nest || automaton.calls[c].levels > 0;
    if (node.may_nest) open.push_back(id);
  }
  while (!open.empty()) {
    const NodeId id = open.back();
    open.pop_back();
    dependents.of(id, [&](NodeId other) {
      if (automaton.nodes[other].may_nest) return;
      automaton.nodes[other].may_nest = true;
      open.push_back(other);
    });
  }
}

void AutomatonBuilder::prune(Automaton& automaton) const {
  std::vector<Edge> edges;
  std::vector<Call> calls;
  for (Node& node : automaton.nodes) {
    const auto edges_begin = static_cast<std::uint32_t>(edges.size());
    const auto calls_begin = static_cast<std::uint32_t>(calls.size());
    for (std::uint32_t e = node.edges_begin; e < node.edges_end; ++e) {
      if (automaton.nodes[automaton.edges[e].target].need != kNever) edges.push_back(automaton.edges[e]);
    }
    for (std::uint32_t c = node.calls_begin; c < node.calls_end; ++c) {
      if (!is_dead(automaton, automaton.calls[c])) calls.push_back(automaton.calls[c]);
    }
    node.edges_begin = edges_begin;
    node.edges_end = static_cast<std::uint32_t>(edges.size());
    node.calls_begin = calls_begin;
    node.calls_end = static_cast<std::uint32_t>(calls.size());
    if (node.need != kNever) automaton.need_max = std::max(automaton.need_max, node.need);
  }
  for (Call& call : calls) call.tail = call.resume == kDone && call.levels == 0;
  automaton.edges = std::move(edges);
  automaton.calls = std::move(calls);
}

Result<Automaton> AutomatonBuilder::finish(Target root) {
  Automaton out;
  if (full_ || !fold(out)) {
    return fail(Code::kInvalidArgument, "schema_too_complex",
                fmt::format("the schema compiles to more than {} states or {} transitions; make it smaller: fewer "
                            "optional properties beside each other, shorter patterns, smaller bounds on patterns",
                            limits_.nodes_max, limits_.edges_max));
  }
  if (begins_with_itself(out)) {
    return fail(Code::kInvalidArgument, "schema_recursion",
                "the schema refers to itself with no object or array between; put the reference into a property "
                "or into 'items'");
  }
  out.root = root;
  out.shared_end = shared_end_;
  out.string_body = string_body_;
  out.nesting_max = limits_.nesting_max;
  measure(out);
  prune(out);
  if (out.nodes[root.start].need == kNever) {
    return fail(Code::kInvalidArgument, "schema_unsatisfiable",
                fmt::format("no JSON value nested at most {} deep satisfies the schema", limits_.nesting_max));
  }
  return out;
}

}  // namespace tidegate::worker::grammar
