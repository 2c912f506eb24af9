#include "worker/engine/grammar/token_trie.h"

#include <algorithm>
#include <limits>

namespace tidegate::worker::grammar {

TokenTrie::TokenTrie(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const Token& token) {
    return token.first.empty() || token.first.size() > std::numeric_limits<std::uint16_t>::max();
  });
  std::sort(tokens_.begin(), tokens_.end());
  std::vector<std::uint32_t> path;  // the node of each depth on the way to the last token
  const auto leave = [&](std::size_t depth) {
    while (path.size() > depth) {
      nodes_[path.back()].next = static_cast<std::uint32_t>(nodes_.size());
      path.pop_back();
    }
  };
  std::string_view last;
  for (std::uint32_t n = 0; n < tokens_.size(); ++n) {
    const std::string_view bytes = tokens_[n].first;
    const auto [differs, end] = std::mismatch(bytes.begin(), bytes.end(), last.begin(), last.end());
    const auto common = static_cast<std::size_t>(differs - bytes.begin());
    leave(common);
    for (std::size_t at = common; at < bytes.size(); ++at) {
      path.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({.next = 0,
                        .tokens = n,
                        .depth = static_cast<std::uint16_t>(at + 1),
                        .byte = static_cast<std::uint8_t>(bytes[at])});
    }
    if (nodes_[path.back()].ends < std::numeric_limits<std::uint8_t>::max()) ++nodes_[path.back()].ends;
    ids_.push_back(tokens_[n].second);
    last = bytes;
  }
  leave(0);
}

std::size_t TokenTrie::bytes() const {
  std::size_t total = nodes_.size() * sizeof(Node) + ids_.size() * sizeof(std::int32_t);
  for (const Token& token : tokens_) total += sizeof(Token) + token.first.capacity();
  return total;
}

}  // namespace tidegate::worker::grammar
