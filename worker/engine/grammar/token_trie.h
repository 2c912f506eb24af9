#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/engine/grammar/pushdown.h"

namespace tidegate::worker::grammar {

/// Tokens by their bytes, in one array in depth-first order: a walk runs forward through memory and leaves a dead
/// subtree by one jump. Immutable.
class TokenTrie {
 public:
  using Token = std::pair<std::string, std::int32_t>;  ///< bytes, id
  struct Node {
    std::uint32_t next = 0;    ///< the first node behind this subtree
    std::uint32_t tokens = 0;  ///< index of the first token that is spelled by the way here, or goes on from here
    std::uint16_t depth = 0;   ///< bytes on the way here; at least 1
    std::uint8_t byte = 0;
    std::uint8_t ends = 0;  ///< tokens that end here, from `tokens` on
  };

  TokenTrie() = default;
  /// Tokens without bytes, or longer than 65535 of them, are left out, and so is what comes after 255 tokens of the
  /// same bytes.
  explicit TokenTrie(std::vector<Token> tokens);

  const std::vector<Node>& nodes() const { return nodes_; }
  bool empty() const { return nodes_.empty(); }
  std::size_t bytes() const;

  /// Tokens of the subtree, those spelled by the way to its root first.
  std::pair<std::uint32_t, std::uint32_t> tokens_under(std::uint32_t node) const {
    return {nodes_[node].tokens, end_of_tokens(nodes_[node].next)};
  }
  const Token& token(std::uint32_t index) const { return tokens_[index]; }
  std::int32_t id(std::uint32_t index) const { return ids_[index]; }

 private:
  std::uint32_t end_of_tokens(std::uint32_t node) const {
    return node < nodes_.size() ? nodes_[node].tokens : static_cast<std::uint32_t>(tokens_.size());
  }
  std::vector<Node> nodes_;
  std::vector<Token> tokens_;      ///< sorted by bytes
  std::vector<std::int32_t> ids_;  ///< of tokens_, close together: a walk reads nothing else
};

/// Runs an automaton over a trie. Keeps scratch memory; one thread.
class TrieWalk {
 public:
  /// Calls visit(node, configs) for every node whose bytes the automaton can read from `start`, in order. Frames that
  /// the walk pushes are cut off again.
  template <typename Visit>
  void run(const TokenTrie& trie, Pushdown& pushdown, const Configs& start, Visit visit) {
    if (trie.empty() || start.empty()) return;
    if (levels_.empty()) levels_.resize(1);
    levels_[0].configs = start;
    levels_[0].mark = pushdown.mark();
    const std::vector<TokenTrie::Node>& nodes = trie.nodes();
    for (std::uint32_t n = 0; n < nodes.size();) {
      const std::size_t depth = nodes[n].depth;
      if (levels_.size() <= depth) levels_.resize(depth + 1);
      pushdown.cut(levels_[depth - 1].mark);
      pushdown.step(levels_[depth - 1].configs, nodes[n].byte, levels_[depth].configs);
      if (levels_[depth].configs.empty()) {
        n = nodes[n].next;
        continue;
      }
      levels_[depth].mark = pushdown.mark();
      visit(n, levels_[depth].configs);
      ++n;
    }
    pushdown.cut(levels_[0].mark);
  }

 private:
  struct Level {
    Configs configs;
    Pushdown::Mark mark;
  };
  std::vector<Level> levels_;
};

}  // namespace tidegate::worker::grammar
