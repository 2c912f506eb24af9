#include "worker/engine/grammar/pushdown.h"

#include <algorithm>

namespace tidegate::worker::grammar {

Pushdown::Pushdown(const Automaton& automaton, std::uint32_t depth) : automaton_(&automaton) {
  stacks_.push_back({kUnbounded, depth});
}

void Pushdown::cut(Mark mark) {
  stacks_.resize(mark.stacks);
  returns_.resize(mark.returns);
}

void Pushdown::begin(const Target& target, Configs& out) {
  out.clear();
  pushes_.clear();
  open_.push_back({target.start, target.least, target.most, 0});
  settle(out);
}

void Pushdown::step(const Configs& in, std::uint8_t byte, Configs& out) {
  out.clear();
  pushes_.clear();
  for (const Config& config : in) {
    const Node& node = automaton_->nodes[config.node];
    for (std::uint32_t e = node.edges_begin; e < node.edges_end; ++e) {
      const Edge& edge = automaton_->edges[e];
      if (byte < edge.low || byte > edge.high) continue;
      Config next{edge.target, config.least, config.most, config.stack};
      switch (edge.op) {
        case Op::kNone:
          break;
        case Op::kTake:
          if (next.most == 0) continue;
          if (next.most != kUnbounded) --next.most;
          if (next.least > 0) --next.least;
          break;
        case Op::kStop:
          if (next.least > 0) continue;
          break;
        case Op::kOpen:
          if (stacks_[config.stack].depth + 1 > automaton_->nesting_max) continue;
          break;
      }
      if (automaton_->need_max > 0 && !fits(next.node, stacks_[next.stack].depth)) continue;
      const Node& target = automaton_->nodes[next.node];
      if (target.accepts || target.calls_begin != target.calls_end) {
        open_.push_back(next);
      } else {
        add_once(next, out);  // inside a string, a number or a literal: nothing to follow
      }
    }
  }
  if (!open_.empty()) settle(out);
}

void Pushdown::resume(std::uint32_t stack, Configs& out) {
  out.clear();
  pushes_.clear();
  open_.push_back({kDone, 0, kUnbounded, stack});
  settle(out);
}

// Follows calls and returns until every way waits for a byte.
void Pushdown::settle(Configs& out) {
  while (!open_.empty()) {
    const Config config = open_.back();
    open_.pop_back();
    const Node& node = automaton_->nodes[config.node];
    const bool waits = node.edges_begin != node.edges_end || config.node == kFinal;
    if (waits) {
      if (!add_once(config, out)) continue;
      if (config.node == kFinal) continue;
    }
    for (std::uint32_t c = node.calls_begin; c < node.calls_end; ++c) call(config, automaton_->calls[c]);
    if (!node.accepts) continue;
    if (config.stack == 0) open_.push_back({kFinal, 0, 0, 0});
    for (std::uint32_t r = stacks_[config.stack].first_return; r != kUnbounded; r = returns_[r].next)
      open_.push_back(returns_[r].config);
  }
}

// Nearly always there are a few ways, and looking at them is fastest. A hostile schema can have thousands.
bool Pushdown::add_once(const Config& config, Configs& out) {
  constexpr std::size_t kFew = 32;
  if (out.size() < kFew) {
    if (std::find(out.begin(), out.end(), config) != out.end()) return false;
  } else {
    if (out.size() == kFew) many_ = {out.begin(), out.end()};
    if (!many_.insert(config).second) return false;
  }
  out.push_back(config);
  return true;
}

void Pushdown::call(const Config& from, const Call& call) {
  const std::uint32_t below = stacks_[from.stack].depth;
  const std::uint32_t depth = below + call.levels;
  if (!fits(call.target.start, depth)) return;
  if (call.tail) {
    open_.push_back({call.target.start, call.target.least, call.target.most, from.stack});
    return;
  }
  Config back{call.resume, from.least, from.most, from.stack};
  if (call.op == Op::kTake) {
    if (back.most == 0) return;
    if (back.most != kUnbounded) --back.most;
    if (back.least > 0) --back.least;
  }
  if (!fits(call.resume, below)) return;
  for (const Push& push : pushes_) {
    if (push.target == call.target && push.depth == depth) {
      add_return(push.stack, back);
      return;
    }
  }
  const auto stack = static_cast<std::uint32_t>(stacks_.size());
  stacks_.push_back({kUnbounded, depth});
  pushes_.push_back({call.target, depth, stack});
  add_return(stack, back);
  open_.push_back({call.target.start, call.target.least, call.target.most, stack});
}

void Pushdown::add_return(std::uint32_t stack, const Config& config) {
  for (std::uint32_t r = stacks_[stack].first_return; r != kUnbounded; r = returns_[r].next) {
    if (returns_[r].config == config) return;
  }
  returns_.push_back({config, stacks_[stack].first_return});
  stacks_[stack].first_return = static_cast<std::uint32_t>(returns_.size() - 1);
}

void Pushdown::compact(std::span<Configs*> live) {
  std::vector<std::uint32_t> renamed(stacks_.size(), kUnbounded);
  std::vector<std::uint32_t> order{0};  // old names, by new name
  renamed[0] = 0;
  const auto rename = [&](Config& config) {
    if (renamed[config.stack] == kUnbounded) {
      renamed[config.stack] = static_cast<std::uint32_t>(order.size());
      order.push_back(config.stack);
    }
    config.stack = renamed[config.stack];
  };
  for (Configs* configs : live) {
    for (Config& config : *configs) rename(config);
  }
  std::vector<Stack> stacks;
  std::vector<Return> returns;
  for (std::size_t n = 0; n < order.size(); ++n) {
    const Stack& old = stacks_[order[n]];
    Stack& stack = stacks.emplace_back(Stack{kUnbounded, old.depth});
    for (std::uint32_t r = old.first_return; r != kUnbounded; r = returns_[r].next) {
      Config config = returns_[r].config;
      rename(config);
      returns.push_back({config, stack.first_return});
      stack.first_return = static_cast<std::uint32_t>(returns.size() - 1);
    }
  }
  stacks_ = std::move(stacks);
  returns_ = std::move(returns);
}

}  // namespace tidegate::worker::grammar
