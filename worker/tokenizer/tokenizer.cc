#include "worker/tokenizer/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include "worker/format/gguf.h"
#include "worker/tokenizer/gguf_tokenizer.h"
#include "worker/tokenizer/nfc.h"
#include "worker/tokenizer/pre_tokenizer.h"

namespace tidegate::worker {
namespace {

constexpr TokenId kVocabMax =
    1 << 22;  // far above any real vocabulary; bounds what a bad file can make us allocate
/// Three letters of Hangul, nine bytes, become a syllable of three; nothing shrinks more.
constexpr std::size_t kComposedShrinkMax = 3;

}  // namespace

Result<Tokenizer> Tokenizer::load(const std::string& dir) {
  const std::string path = dir + "/tokenizer.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    TG_ASSIGN(const auto parts, gguf_files_of(dir));
    if (!parts.empty()) {
      TG_ASSIGN(const GgufFile gguf, GgufFile::open(parts.front()));
      TG_ASSIGN(const TokenizerFile carried, tokenizer_of_gguf(gguf));
      return build(carried);
    }
  }
  TG_ASSIGN(const TokenizerFile file, load_tokenizer_file(path));
  return build(file);
}

Result<Tokenizer> Tokenizer::build(const TokenizerFile& file) {
  TG_ASSIGN(Bpe bpe, Bpe::build(file));
  Tokenizer tokenizer(file.pre_tokenizer, file.nfc, std::move(bpe));

  TokenId top = 0;
  for (const auto& entry : file.vocab) top = std::max(top, entry.second);
  for (const AddedToken& token : file.added) top = std::max(top, token.id);
  if (top >= kVocabMax) {
    return fail(Code::kInvalidArgument, "tokenizer_unsupported",
                "tokenizer.json: a token id is above 4194303", "model.vocab");
  }
  tokenizer.tokens_.resize(static_cast<std::size_t>(top) + 1);
  for (const auto& [bytes, id] : file.vocab) {
    tokenizer.tokens_[static_cast<std::size_t>(id)].bytes = bytes;
    tokenizer.token_bytes_max_ = std::max(tokenizer.token_bytes_max_, bytes.size());
  }

  if (file.nfc) tokenizer.token_bytes_max_ *= kComposedShrinkMax;

  for (const AddedToken& token : file.added) {
    tokenizer.tokens_[static_cast<std::size_t>(token.id)] = {token.text, true};
    tokenizer.added_.emplace(token.text, token.id);
    tokenizer.added_first_byte_.set(static_cast<std::uint8_t>(token.text.front()));
    tokenizer.added_lengths_.push_back(token.text.size());
  }
  std::vector<std::size_t>& lengths = tokenizer.added_lengths_;
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return tokenizer;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, AddedTokens added) const {
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 3 + 1);
  if (added == AddedTokens::kRefuse) {
    encode_plain(text, ids);
    return ids;
  }
  std::size_t plain = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto match = added_at(text, at);
    if (!match) {
      ++at;
      continue;
    }
    encode_plain(text.substr(plain, at - plain), ids);
    ids.push_back(match->id);
    plain = at += match->bytes;
  }
  encode_plain(text.substr(plain), ids);
  return ids;
}

void Tokenizer::encode_plain(std::string_view text, std::vector<TokenId>& ids) const {
  const std::string normal = nfc_ ? to_nfc(text) : std::string();
  for (const std::string_view piece : split_pieces(pre_tokenizer_, nfc_ ? std::string_view(normal) : text)) {
    bpe_.encode_piece(piece, ids);
  }
}

// Leftmost, then longest, as the reference does.
std::optional<Tokenizer::AddedMatch> Tokenizer::added_at(std::string_view text, std::size_t at) const {
  if (!added_first_byte_.test(static_cast<std::uint8_t>(text[at]))) return std::nullopt;
  for (const std::size_t length : added_lengths_) {
    if (length > text.size() - at) continue;
    const auto found = added_.find(std::string(text.substr(at, length)));
    if (found != added_.end()) return AddedMatch{found->second, length};
  }
  return std::nullopt;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, ControlText control) const {
  std::string bytes;
  for (const TokenId id : ids) {
    if (control == ControlText::kSkip && is_control(id)) continue;
    bytes += token_bytes(id);
  }
  return bytes;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  if (id < 0 || id >= vocab_limit()) return {};
  return tokens_[static_cast<std::size_t>(id)].bytes;
}

bool Tokenizer::is_control(TokenId id) const {
  return id >= 0 && id < vocab_limit() && tokens_[static_cast<std::size_t>(id)].control;
}

std::optional<TokenId> Tokenizer::control_id(std::string_view text) const {
  const auto found = added_.find(std::string(text));
  if (found == added_.end()) return std::nullopt;
  return found->second;
}

}  // namespace tidegate::worker
