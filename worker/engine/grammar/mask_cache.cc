#include "worker/engine/grammar/mask_cache.h"

#include <algorithm>

namespace tidegate::worker::grammar {
namespace {

// Above this many tokens a bitmap is smaller and faster than a list.
std::size_t list_max(std::int32_t limit) { return static_cast<std::size_t>(limit) / 32; }

}  // namespace

// A token can take at most its bytes off a counter, and open at most its brackets; beyond that a counter or a depth
// is as good as any other.
MaskTable::Name MaskTable::name_of(const Automaton& automaton, const Config& config, const Pushdown& pushdown) const {
  const std::uint32_t far = vocabulary_->bytes_max() + 1;
  Name name{config.node, std::min(config.least, far), std::min(config.most, far), 0};
  if (automaton.nodes[config.node].may_nest) {
    const std::uint32_t left =
        automaton.nesting_max - std::min<std::uint32_t>(automaton.nesting_max, pushdown.depth(config.stack));
    name.levels = std::min<std::uint32_t>(left, vocabulary_->opens_max() + automaton.need_max + 1);
  }
  return name;
}

const MaskTable::Entry& MaskTable::find(const Automaton& automaton, const Config& config, const Pushdown& pushdown) {
  const Name name = name_of(automaton, config, pushdown);
  const auto found = entries_.find(name);
  if (found != entries_.end()) return found->second;
  Entry entry = build(automaton, name);
  ++built_;
  if (bytes_ + entry.bytes > bytes_max_) {  // rare; starting over is simpler than knowing which are old
    entries_.clear();
    bytes_ = 0;
  }
  bytes_ += entry.bytes;
  return entries_.emplace(name, std::move(entry)).first->second;
}

MaskTable::Entry MaskTable::build(const Automaton& automaton, const Name& name) {
  // Frame 0 stands for whatever is below: a way that gets to kFinal has left the rule.
  Pushdown pushdown(automaton, automaton.nesting_max - name.levels);
  const Configs start{{name.node, name.least, name.most, 0}};
  TokenMask mask(vocabulary_->limit());
  std::vector<TokenTrie::Token> rests;
  const auto walk = [&](const TokenTrie& trie) {
    walk_.run(trie, pushdown, start, [&](std::uint32_t node, const Configs& configs) {
      const TokenTrie::Node& place = trie.nodes()[node];
      for (std::uint32_t n = 0; n < place.ends; ++n) mask.set(trie.id(place.tokens + n));
      const bool left = std::ranges::any_of(configs, [](const Config& config) { return config.node == kFinal; });
      if (!left) return;
      const std::uint32_t last = trie.tokens_under(node).second;
      for (std::uint32_t token = place.tokens + place.ends; token < last; ++token) {
        const auto& [bytes, id] = trie.token(token);
        rests.emplace_back(bytes.substr(place.depth), id);
      }
    });
  };
  if (name.node == automaton.string_body) {
    vocabulary_->add_plain(name.most, mask);
  } else {
    walk(vocabulary_->plain());
  }
  walk(vocabulary_->other());

  Entry entry;
  std::erase_if(rests, [&](const TokenTrie::Token& rest) { return mask.test(rest.second); });
  entry.rests = TokenTrie(std::move(rests));
  if (mask.count() > list_max(vocabulary_->limit())) {
    entry.mask = std::move(mask);
  } else {
    mask.each([&](std::int32_t id) { entry.ids.push_back(id); });
  }
  entry.bytes = sizeof(Entry) + entry.mask.bytes() + entry.ids.capacity() * sizeof(std::int32_t) + entry.rests.bytes();
  return entry;
}

MaskCache::MaskCache(std::shared_ptr<const Vocabulary> vocabulary, Limits limits)
    : vocabulary_(std::move(vocabulary)), limits_(limits), shared_(vocabulary_, limits.shared_bytes_max) {}

MaskCache::MaskCache(std::shared_ptr<const Vocabulary> vocabulary) : MaskCache(std::move(vocabulary), Limits()) {}

std::shared_ptr<MaskTable> MaskCache::table_for(const Grammar& grammar) {
  const auto same = [&](const auto& one) { return one.first == grammar.key(); };
  const auto found = std::find_if(recent_.begin(), recent_.end(), same);
  if (found != recent_.end()) {
    recent_.splice(recent_.begin(), recent_, found);
    return recent_.front().second;
  }
  recent_.emplace_front(grammar.key(), std::make_shared<MaskTable>(vocabulary_, limits_.table_bytes_max));
  std::size_t bytes = 0;
  for (const auto& one : recent_) bytes += one.second->bytes();
  while (recent_.size() > limits_.grammars_max || (recent_.size() > 1 && bytes > limits_.recent_bytes_max)) {
    bytes -= recent_.back().second->bytes();
    recent_.pop_back();
  }
  return recent_.front().second;
}

void MaskCache::fill(Matcher& matcher, MaskTable& table, TokenMask& mask) {
  mask.clear();
  const Automaton& automaton = matcher.grammar().automaton();
  Pushdown& pushdown = matcher.pushdown();
  for (const Config& config : matcher.configs()) {
    if (config.node == kFinal) continue;
    MaskTable& home = config.node < automaton.shared_end ? shared_ : table;
    const MaskTable::Entry& entry = home.find(automaton, config, pushdown);
    for (const std::int32_t id : entry.ids) mask.set(id);
    if (entry.mask.bytes() > 0) mask.add(entry.mask);
    if (entry.rests.empty()) continue;
    const Pushdown::Mark mark = pushdown.mark();
    pushdown.resume(config.stack, below_);
    walk_.run(entry.rests, pushdown, below_, [&](std::uint32_t node, const Configs&) {
      const TokenTrie::Node& place = entry.rests.nodes()[node];
      for (std::uint32_t n = 0; n < place.ends; ++n) mask.set(entry.rests.id(place.tokens + n));
    });
    pushdown.cut(mark);
  }
}

}  // namespace tidegate::worker::grammar
