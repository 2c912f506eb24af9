#include "worker/engine/grammar/byte_dfa.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <map>
#include <string>

#include "worker/engine/grammar/json_rules.h"

namespace tidegate::worker::grammar {
namespace {

std::unexpected<Error> too_complex(const PatternBudget& budget) {
  return fail(
      Code::kInvalidArgument, "pattern_too_complex",
      fmt::format("a pattern (with the lengths or format beside it) needs more than {} states, or too much work "
                  "to compile; use smaller counts, or lengths without a pattern",
                  budget.states_max));
}

// Thompson's construction, over bytes.
class Nfa {
 public:
  struct Edge {
    std::uint8_t low, high;
    std::uint32_t target;
  };
  struct State {
    std::vector<Edge> edges;
    std::vector<std::uint32_t> empties;
  };

  Nfa(const Regex& regex, std::uint32_t states_max) : regex_(regex), states_max_(states_max) {}

  bool build() {
    const std::uint32_t start = state();
    end = state();
    add(regex_.root, start, end);
    return !full_;
  }

  std::vector<State> states;
  std::uint32_t end = 0;

 private:
  std::uint32_t state() {
    if (states.size() >= states_max_) {
      full_ = true;
      return 0;
    }
    states.emplace_back();
    return static_cast<std::uint32_t>(states.size() - 1);
  }
  void empty(std::uint32_t from, std::uint32_t to) { states[from].empties.push_back(to); }

  void add(std::uint32_t index, std::uint32_t from, std::uint32_t to) {
    if (full_) return;
    const Regex::Node& node = regex_.nodes[index];
    switch (node.kind) {
      case Regex::Kind::kEmpty:
        empty(from, to);
        return;
      case Regex::Kind::kChars:
        for (const auto& [low, high] : node.chars) add_chars(low, high, from, to);
        return;
      case Regex::Kind::kChoice:
        for (const std::uint32_t part : node.parts) add(part, from, to);
        return;
      case Regex::Kind::kSequence:
        for (std::size_t n = 0; n < node.parts.size(); ++n) {
          const std::uint32_t next = n + 1 == node.parts.size() ? to : state();
          add(node.parts[n], from, next);
          from = next;
        }
        if (node.parts.empty()) empty(from, to);
        return;
      case Regex::Kind::kRepeat:
        add_repeat(node, from, to);
        return;
    }
  }

  void add_repeat(const Regex::Node& node, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t n = 0; n < node.least && !full_; ++n) {
      const std::uint32_t next = state();
      add(node.parts[0], from, next);
      from = next;
    }
    if (node.most == kUnbounded) {
      const std::uint32_t loop = state();  // its own state: nothing else may enter the loop
      const std::uint32_t after = state();
      if (full_) return;
      empty(from, loop);
      add(node.parts[0], loop, after);
      empty(after, loop);
      empty(loop, to);
      return;
    }
    for (std::uint32_t n = node.least; n < node.most && !full_; ++n) {
      empty(from, to);
      const std::uint32_t next = state();
      add(node.parts[0], from, next);
      from = next;
    }
    empty(from, to);
  }

  void add_chars(std::uint32_t low, std::uint32_t high, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t c = low; c <= std::min<std::uint32_t>(high, 0x5C); ++c) {
      const std::string escape = canonical_escape(static_cast<char>(c));
      if (!escape.empty()) add_bytes(escape, from, to);
    }
    struct Range {
      std::uint32_t low, high;
    };
    // Between the characters that JSON escapes, and around the surrogates.
    for (const Range& plain : {Range{0x20, 0x21},
                               {0x23, 0x5B},
                               {0x5D, 0x7F},
                               {0x80, 0x7FF},
                               {0x800, 0xD7FF},
                               {0xE000, 0xFFFF},
                               {0x10000, 0x10FFFF}}) {
      const std::uint32_t first = std::max(low, plain.low), last = std::min(high, plain.high);
      if (first <= last) add_utf8(first, last, from, to);
    }
  }

  void add_bytes(const std::string& bytes, std::uint32_t from, std::uint32_t to) {
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      const std::uint32_t next = n + 1 == bytes.size() ? to : state();
      const auto byte = static_cast<std::uint8_t>(bytes[n]);
      states[from].edges.push_back({byte, byte, next});
      from = next;
    }
  }

  // Code points of one encoded length. Splits until every byte's range is independent of the others.
  void add_utf8(std::uint32_t low, std::uint32_t high, std::uint32_t from, std::uint32_t to) {
    const int extra = high < 0x80 ? 0 : high < 0x800 ? 1 : high < 0x10000 ? 2 : 3;
    for (int n = 1; n <= extra; ++n) {
      const std::uint32_t mask = (1U << (6 * n)) - 1;
      if ((low & ~mask) == (high & ~mask)) continue;
      if ((low & mask) != 0) {
        add_utf8(low, low | mask, from, to);
        add_utf8((low | mask) + 1, high, from, to);
        return;
      }
      if ((high & mask) != mask) {
        add_utf8(low, (high & ~mask) - 1, from, to);
        add_utf8(high & ~mask, high, from, to);
        return;
      }
    }
    for (int n = extra; n >= 0; --n) {
      const std::uint32_t next = n == 0 ? to : state();
      states[from].edges.push_back({byte_of(low, n, extra), byte_of(high, n, extra), next});
      from = next;
    }
  }

  static std::uint8_t byte_of(std::uint32_t code, int at, int extra) {
    static constexpr std::array<std::uint8_t, 4> kLeads = {0x00, 0xC0, 0xE0, 0xF0};
    const std::uint32_t bits = code >> (6 * at);
    if (at == extra) return static_cast<std::uint8_t>(kLeads[static_cast<std::size_t>(extra)] | bits);
    return static_cast<std::uint8_t>(0x80 | (bits & 0x3F));
  }

  const Regex& regex_;
  std::uint32_t states_max_;
  bool full_ = false;
};

using StateSet = std::vector<std::uint32_t>;

void close(const Nfa& nfa, StateSet& set, std::vector<bool>& seen) {
  for (std::size_t n = 0; n < set.size(); ++n) seen[set[n]] = true;
  for (std::size_t n = 0; n < set.size(); ++n) {
    for (const std::uint32_t next : nfa.states[set[n]].empties) {
      if (!seen[next]) set.push_back(next);
      seen[next] = true;
    }
  }
  for (const std::uint32_t state : set) seen[state] = false;
  std::sort(set.begin(), set.end());
}

// Drops the states that cannot reach an accepting one; keeps the start.
ByteDfa trimmed(const ByteDfa& dfa) {
  std::vector<std::vector<std::uint32_t>> sources(dfa.states.size());
  std::vector<bool> live(dfa.states.size());
  std::vector<std::uint32_t> open;
  for (std::uint32_t n = 0; n < dfa.states.size(); ++n) {
    for (const ByteDfa::Edge& edge : dfa.states[n].edges) sources[edge.target].push_back(n);
    live[n] = dfa.states[n].accepts;
    if (live[n]) open.push_back(n);
  }
  while (!open.empty()) {
    const std::uint32_t state = open.back();
    open.pop_back();
    for (const std::uint32_t source : sources[state]) {
      if (!live[source]) open.push_back(source);
      live[source] = true;
    }
  }
  std::vector<std::uint32_t> renamed(dfa.states.size());
  ByteDfa out;
  for (std::uint32_t n = 0; n < dfa.states.size(); ++n) {
    if (!live[n] && n != 0) continue;
    renamed[n] = static_cast<std::uint32_t>(out.states.size());
    out.states.push_back({.edges = {}, .accepts = dfa.states[n].accepts});
  }
  for (std::uint32_t n = 0; n < dfa.states.size(); ++n) {
    if (!live[n]) continue;
    for (const ByteDfa::Edge& edge : dfa.states[n].edges) {
      if (live[edge.target]) out.states[renamed[n]].edges.push_back({edge.low, edge.high, renamed[edge.target]});
    }
  }
  return out;
}

Result<ByteDfa> determinised(const Nfa& nfa, PatternBudget& budget) {
  std::vector<bool> seen(nfa.states.size());
  std::map<StateSet, std::uint32_t> names;
  std::vector<const StateSet*> sets;
  ByteDfa dfa;
  const auto name = [&](StateSet set) {
    close(nfa, set, seen);
    budget.work_left -= static_cast<std::int64_t>(set.size());
    const auto [found, is_new] = names.try_emplace(std::move(set), static_cast<std::uint32_t>(names.size()));
    if (is_new) {
      sets.push_back(&found->first);  // a map's keys stay where they are
      dfa.states.push_back(
          {.edges = {}, .accepts = std::binary_search(found->first.begin(), found->first.end(), nfa.end)});
    }
    return found->second;
  };
  name({0});
  for (std::uint32_t n = 0; n < sets.size(); ++n) {
    std::bitset<257> cuts;  // bytes at which some edge begins, or has just ended
    for (const std::uint32_t state : *sets[n]) {
      for (const Nfa::Edge& edge : nfa.states[state].edges) {
        cuts.set(edge.low);
        cuts.set(static_cast<std::size_t>(edge.high) + 1);
      }
    }
    for (std::size_t low = 0; low < 256;) {
      std::size_t end = low + 1;
      while (end < 256 && !cuts.test(end)) ++end;
      StateSet next;
      for (const std::uint32_t state : *sets[n]) {
        for (const Nfa::Edge& edge : nfa.states[state].edges) {
          if (edge.low <= low && low <= edge.high) next.push_back(edge.target);
        }
        budget.work_left -= static_cast<std::int64_t>(nfa.states[state].edges.size());
      }
      if (!next.empty()) {
        std::sort(next.begin(), next.end());
        next.erase(std::unique(next.begin(), next.end()), next.end());
        const std::uint32_t target = name(std::move(next));
        dfa.states[n].edges.push_back({static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(end - 1), target});
      }
      low = end;
      if (budget.work_left < 0 || sets.size() > budget.states_max) return too_complex(budget);
    }
  }
  return trimmed(dfa);
}

}  // namespace

Result<ByteDfa> compile_regex(const Regex& regex, PatternBudget& budget) {
  constexpr std::uint32_t kNfaFactor = 16;  // a '.' alone takes about that many states
  Nfa nfa(regex, budget.states_max * kNfaFactor);
  if (!nfa.build()) return too_complex(budget);
  return determinised(nfa, budget);
}

Result<ByteDfa> any_text(std::uint32_t least, std::uint32_t most, PatternBudget& budget) {
  Regex regex;
  regex.nodes.push_back({.kind = Regex::Kind::kChars, .chars = {{0, 0x10FFFF}}});
  regex.nodes.push_back({.kind = Regex::Kind::kRepeat, .parts = {0}, .least = least, .most = most});
  regex.root = 1;
  return compile_regex(regex, budget);
}

Result<ByteDfa> intersection(const ByteDfa& a, const ByteDfa& b, PatternBudget& budget) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> names;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  ByteDfa out;
  const auto name = [&](std::uint32_t left, std::uint32_t right) {
    const auto [found, is_new] = names.try_emplace({left, right}, static_cast<std::uint32_t>(pairs.size()));
    if (is_new) {
      pairs.emplace_back(left, right);
      out.states.push_back({.edges = {}, .accepts = a.states[left].accepts && b.states[right].accepts});
    }
    return found->second;
  };
  name(0, 0);
  for (std::uint32_t n = 0; n < pairs.size(); ++n) {
    const auto [left, right] = pairs[n];
    for (const ByteDfa::Edge& x : a.states[left].edges) {
      for (const ByteDfa::Edge& y : b.states[right].edges) {
        --budget.work_left;
        const std::uint8_t low = std::max(x.low, y.low), high = std::min(x.high, y.high);
        if (low > high) continue;
        const std::uint32_t target = name(x.target, y.target);
        out.states[n].edges.push_back({low, high, target});
      }
    }
    if (budget.work_left < 0 || pairs.size() > budget.states_max) return too_complex(budget);
  }
  return trimmed(out);
}

void add_string_of(AutomatonBuilder& builder, NodeId from, const ByteDfa& dfa, NodeId to) {
  std::vector<NodeId> nodes;
  for (std::size_t n = 0; n < dfa.states.size(); ++n) nodes.push_back(builder.node());
  builder.edge(from, '"', nodes[0]);
  for (std::size_t n = 0; n < dfa.states.size(); ++n) {
    for (const ByteDfa::Edge& edge : dfa.states[n].edges)
      builder.edge(nodes[n], edge.low, edge.high, nodes[edge.target]);
    if (dfa.states[n].accepts) builder.edge(nodes[n], '"', to);
  }
}

}  // namespace tidegate::worker::grammar
