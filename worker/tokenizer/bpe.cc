#include "worker/tokenizer/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <queue>
#include <unordered_map>
#include <unordered_set>

namespace tidegate::worker {
namespace {

// Up to this many bytes a scan over all pairs beats a heap (nearly every piece is a word).
constexpr std::size_t kShortPieceBytes = 32;

std::uint64_t pair_key(TokenId left, TokenId right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

std::size_t slot_of(std::uint64_t pair, std::size_t slots) {
  return static_cast<std::size_t>((pair * 0x9E3779B97F4A7C15ULL) >> 32) & (slots - 1);
}

/// Whether some UTF-8 text holds this byte. C0 and C1 would only begin overlong forms, F5 and above lie past U+10FFFF.
bool occurs_in_utf8(std::size_t byte) { return byte != 0xC0 && byte != 0xC1 && byte < 0xF5; }

std::unexpected<Error> bad_vocabulary(std::string message, std::string field) {
  return fail(Code::kInvalidArgument, "tokenizer_unsupported", "tokenizer.json: " + std::move(message),
              std::move(field));
}

}  // namespace

Result<Bpe> Bpe::build(const TokenizerFile& file) {
  std::unordered_map<std::string_view, TokenId> ids;
  ids.reserve(file.vocab.size());
  for (const auto& [bytes, id] : file.vocab) ids.emplace(bytes, id);

  // By id as well as by text: a file may give the id of a control token to an ordinary spelling.
  std::unordered_set<TokenId> control;
  for (const AddedToken& token : file.added) control.insert(token.id);

  Bpe bpe;
  for (std::size_t byte = 0; byte < bpe.byte_ids_.size(); ++byte) {
    const auto found = ids.find(std::string(1, static_cast<char>(byte)));
    const bool is_missing = found == ids.end();
    if (!occurs_in_utf8(byte) && (is_missing || control.contains(found->second))) {
      bpe.byte_ids_[byte] = kNoToken;
      bpe.lacks_bytes_ = true;
      continue;
    }
    if (is_missing) return bad_vocabulary(fmt::format("byte {} has no token", byte), "model.vocab");
    if (control.contains(found->second)) {
      return bad_vocabulary(fmt::format("byte {} is token {}, which is an added token", byte, found->second), "added_tokens");
    }
    bpe.byte_ids_[byte] = found->second;
  }

  if (file.whole_pieces) {
    for (const auto& [bytes, id] : file.vocab) {
      if (!control.contains(id)) bpe.whole_.emplace(bytes, id);
    }
    // Some files list control tokens in the vocabulary as well: text must never become one by being looked up.
    for (const AddedToken& token : file.added) bpe.whole_.erase(token.text);
  }
  bpe.table_.resize(std::bit_ceil(file.merges.size() * 2 + 1));
  std::uint32_t rank = 0;
  for (const auto& [left, right] : file.merges) {
    const auto left_id = ids.find(left);
    const auto right_id = ids.find(right);
    const auto result = ids.find(left + right);
    if (left_id == ids.end() || right_id == ids.end() || result == ids.end()) {
      return bad_vocabulary(fmt::format("merge {} names a token that the vocabulary lacks", rank),
                            "model.merges");
    }
    if (!control.contains(result->second) && bpe.find(left_id->second, right_id->second) == nullptr) {
      bpe.insert({pair_key(left_id->second, right_id->second), rank, result->second});
    }
    ++rank;
  }
  return bpe;
}

const Bpe::Merge* Bpe::find(TokenId left, TokenId right) const {
  const std::uint64_t pair = pair_key(left, right);
  for (std::size_t slot = slot_of(pair, table_.size());; slot = (slot + 1) & (table_.size() - 1)) {
    const Merge& merge = table_[slot];
    if (merge.pair == pair) return &merge;
    if (merge.pair == kEmpty) return nullptr;
  }
}

void Bpe::insert(const Merge& merge) {
  std::size_t slot = slot_of(merge.pair, table_.size());
  while (table_[slot].pair != kEmpty) slot = (slot + 1) & (table_.size() - 1);
  table_[slot] = merge;
}

void Bpe::encode_piece(std::string_view piece, std::vector<TokenId>& ids) const {
  if (!whole_.empty()) {
    const auto found = whole_.find(piece);
    if (found != whole_.end()) {
      ids.push_back(found->second);
      return;
    }
  }
  if (piece.size() <= kShortPieceBytes) {
    encode_short(piece, ids);
  } else {
    encode_long(piece, ids);
  }
}

void Bpe::encode_short(std::string_view piece, std::vector<TokenId>& ids) const {
  std::array<TokenId, kShortPieceBytes> parts;
  std::array<const Merge*, kShortPieceBytes> merges;  // merges[i] joins parts i and i + 1
  std::size_t count = piece.size();
  for (std::size_t i = 0; i < count; ++i) parts[i] = byte_ids_[static_cast<std::uint8_t>(piece[i])];
  for (std::size_t i = 0; i + 1 < count; ++i) merges[i] = find(parts[i], parts[i + 1]);
  while (count > 1) {
    const Merge* best = nullptr;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < count; ++i) {
      if (merges[i] != nullptr && (best == nullptr || merges[i]->rank < best->rank)) best = merges[i], at = i;
    }
    if (best == nullptr) break;
    parts[at] = best->result;
    std::copy(parts.begin() + at + 2, parts.begin() + count, parts.begin() + at + 1);
    std::copy(merges.begin() + std::min(at + 2, count - 1), merges.begin() + count - 1,
              merges.begin() + at + 1);
    --count;
    if (at > 0) merges[at - 1] = find(parts[at - 1], parts[at]);
    if (at + 1 < count) merges[at] = find(parts[at], parts[at + 1]);
  }
  ids.insert(ids.end(), parts.begin(), parts.begin() + count);
}

void Bpe::encode_long(std::string_view piece, std::vector<TokenId>& ids) const {
  constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Part {
    TokenId id;
    std::uint32_t previous;
    std::uint32_t next;
    bool gone;
  };
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t left;
    TokenId result;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };

  const auto count = static_cast<std::uint32_t>(piece.size());
  std::vector<Part> parts(count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](std::uint32_t left) {
    if (left == kNone || parts[left].next == kNone) return;
    const Merge* merge = find(parts[left].id, parts[parts[left].next].id);
    if (merge != nullptr) queue.push({merge->rank, left, merge->result});
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    parts[i] = {byte_ids_[static_cast<std::uint8_t>(piece[i])], i == 0 ? kNone : i - 1,
                i + 1 == count ? kNone : i + 1, false};
  }
  for (std::uint32_t i = 0; i < count; ++i) offer(i);

  while (!queue.empty()) {
    const Candidate candidate = queue.top();
    queue.pop();
    Part& left = parts[candidate.left];
    if (left.gone || left.next == kNone) continue;
    // The neighbourhood may have changed since the offer: only a pair that still merges to the same token
    // counts.
    const Merge* merge = find(left.id, parts[left.next].id);
    if (merge == nullptr || merge->result != candidate.result || merge->rank != candidate.rank) continue;
    Part& right = parts[left.next];
    right.gone = true;
    left.id = merge->result;
    left.next = right.next;
    if (left.next != kNone) parts[left.next].previous = candidate.left;
    offer(left.previous);
    offer(candidate.left);
  }
  for (std::uint32_t i = 0; i != kNone; i = parts[i].next) ids.push_back(parts[i].id);
}

}  // namespace tidegate::worker
