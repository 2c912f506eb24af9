#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "worker/engine/grammar/matcher.h"
#include "worker/engine/grammar/token_mask.h"
#include "worker/engine/grammar/token_trie.h"
#include "worker/engine/grammar/vocabulary.h"

namespace tidegate::worker::grammar {

/// Masks of single places of an automaton, computed when first asked for.
///
/// What may follow a place does not depend on the frames below it until the place's own rule ends. So an entry holds
/// the tokens that are allowed within the rule, and a small trie of what is left of the others behind the rule's end,
/// which is walked with the true frames each time. The mask of a state is the union over its configs. Counters and
/// depth are part of an entry's name only as far as one token can feel them.
class MaskTable {
 public:
  struct Name {
    NodeId node = 0;
    std::uint32_t least = 0;
    std::uint32_t most = 0;
    std::uint32_t levels = 0;  ///< of nesting left
    bool operator==(const Name&) const = default;
  };
  struct Entry {
    TokenMask mask;  ///< empty if `ids` is used
    std::vector<std::int32_t> ids;
    TokenTrie rests;  ///< the bytes behind the rule's end, of tokens not allowed already
    std::size_t bytes = 0;
  };

  MaskTable(std::shared_ptr<const Vocabulary> vocabulary, std::size_t bytes_max)
      : vocabulary_(std::move(vocabulary)), bytes_max_(bytes_max) {}

  /// The entry lives until the next call.
  const Entry& find(const Automaton& automaton, const Config& config, const Pushdown& pushdown);
  std::int64_t built() const { return built_; }
  std::size_t bytes() const { return bytes_; }

 private:
  struct NameHash {
    std::size_t operator()(const Name& name) const {
      std::uint64_t hash = name.node;
      for (const std::uint64_t part : {name.least, name.most, name.levels})
        hash = (hash ^ part) * 0x9E3779B97F4A7C15ULL ^ (hash >> 31);
      return static_cast<std::size_t>(hash);
    }
  };
  Name name_of(const Automaton& automaton, const Config& config, const Pushdown& pushdown) const;
  Entry build(const Automaton& automaton, const Name& name);

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::int64_t built_ = 0;
  std::unordered_map<Name, Entry, NameHash> entries_;
  TrieWalk walk_;
};

/// The tables of one engine: one for the rules that all grammars share, one for each grammar in recent use. One thread.
class MaskCache {
 public:
  struct Limits {
    std::size_t grammars_max = 32;                         ///< tables kept after their last sequence
    std::size_t recent_bytes_max = std::size_t{64} << 20;  ///< of those tables together, when one is added
    std::size_t table_bytes_max = std::size_t{32} << 20;   ///< every state of every pattern, at 129k tokens
    std::size_t shared_bytes_max = std::size_t{16} << 20;
  };
  /// `vocabulary` is shared with the tables, which sequences keep alive.
  MaskCache(std::shared_ptr<const Vocabulary> vocabulary, Limits limits);
  explicit MaskCache(std::shared_ptr<const Vocabulary> vocabulary);

  /// The table of grammars with this key; hold it while filling masks for them (shared, for it may be dropped here).
  std::shared_ptr<MaskTable> table_for(const Grammar& grammar);
  /// Sets exactly the tokens that matcher.accept would take. `table` is the one of the matcher's grammar. End tokens
  /// are the caller's business: see Matcher::can_end.
  void fill(Matcher& matcher, MaskTable& table, TokenMask& mask);

  const Vocabulary& vocabulary() const { return *vocabulary_; }
  /// Entries computed so far in the shared table.
  std::int64_t shared_built() const { return shared_.built(); }

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  Limits limits_;
  MaskTable shared_;
  std::list<std::pair<std::string, std::shared_ptr<MaskTable>>> recent_;  ///< latest first
  TrieWalk walk_;
  Configs below_;
};

}  // namespace tidegate::worker::grammar
