#include "worker/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "worker/format/gguf.h"
#include "worker/tokenizer/byte_map.h"
#include "worker/tokenizer/gguf_tokenizer.h"
#include "worker/tokenizer/nfc.h"
#include "worker/tokenizer/pre_tokenizer.h"

namespace tidegate::worker {
namespace {

constexpr TokenId kVocabMax =
    1 << 22;  // far above any real vocabulary; bounds what a bad file can make us allocate
/// Files leave gaps between their ids (reserved rows, padded embeddings), but not many more than they have tokens.
constexpr std::size_t kGapFactor = 4;
constexpr std::size_t kGapIds = 4096;
/// Three letters of Hangul, nine bytes, become a syllable of three; nothing shrinks more.
constexpr std::size_t kComposedShrinkMax = 3;
constexpr std::string_view kRepairedByte = "\xEF\xBF\xBD";  // U+FFFD

std::unexpected<Error> bad_tokens(std::string_view what, std::string_view field) {
  return fail(Code::kInvalidArgument, "tokenizer_unsupported", fmt::format("tokenizer.json: {}", what), std::string(field));
}

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
    return bad_tokens("a token id is above 4194303", "model.vocab");
  }
  const std::size_t entries = file.vocab.size() + file.added.size();
  if (static_cast<std::size_t>(top) > entries * kGapFactor + kGapIds) {
    return bad_tokens(fmt::format("token id {} is too far above the {} tokens of the file", top, entries), "model.vocab");
  }
  tokenizer.tokens_.resize(static_cast<std::size_t>(top) + 1);
  for (const auto& [bytes, id] : file.vocab) {
    std::string& own = tokenizer.tokens_[static_cast<std::size_t>(id)].bytes;
    // Text would come back as another.
    if (!own.empty() && own != bytes) return bad_tokens(fmt::format("two tokens have id {}", id), "model.vocab");
    own = bytes;
    tokenizer.token_bytes_max_ = std::max(tokenizer.token_bytes_max_, bytes.size());
  }

  for (const AddedToken& token : file.added) {
    Token& own = tokenizer.tokens_[static_cast<std::size_t>(token.id)];
    if (own.added && own.bytes != token.text) {
      return bad_tokens(fmt::format("two added tokens have id {}", token.id), "added_tokens");
    }
    if (token.text.empty()) return bad_tokens(fmt::format("added token {} is empty", token.id), "added_tokens");
    const bool is_letter = tokenizer.is_letter(token);
    if (is_letter) {
      tokenizer.letter_first_byte_.set(static_cast<std::uint8_t>(token.text.front()));
      tokenizer.token_bytes_max_ = std::max(tokenizer.token_bytes_max_, token.text.size());
    }
    // The same token may stand twice, as special and as not: then it is none that text may become.
    own = {token.text, true, !is_letter || own.control};
    if (!tokenizer.added_.emplace(token.text, token.id).second && tokenizer.added_.at(token.text) != token.id) {
      return bad_tokens(fmt::format("added token {} has the text of another", token.id), "added_tokens");
    }
    tokenizer.added_first_byte_.set(static_cast<std::uint8_t>(token.text.front()));
    tokenizer.added_lengths_.push_back(token.text.size());
  }
  if (file.nfc) tokenizer.token_bytes_max_ *= kComposedShrinkMax;
  std::vector<std::size_t>& lengths = tokenizer.added_lengths_;
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return tokenizer;
}

bool Tokenizer::is_letter(const AddedToken& token) const {
  if (token.special) return false;
  const auto spelled = bytes_of_spelling(token.text);
  return spelled && spelled->size() == 1 && bpe_.lacks(static_cast<std::uint8_t>(spelled->front()));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, AddedTokens added) const {
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 3 + 1);
  const auto is_lacking = [&](char byte) { return bpe_.lacks(static_cast<std::uint8_t>(byte)); };
  if (!bpe_.lacks_bytes() || std::none_of(text.begin(), text.end(), is_lacking)) {
    encode_known(text, added, ids);
    return ids;
  }
  // Nothing from outside comes here: the wire and JSON refuse what is not UTF-8. Dropping bytes would hide that they were there.
  std::string repaired;
  repaired.reserve(text.size() + 2);
  for (const char byte : text) {
    if (is_lacking(byte)) {
      repaired += kRepairedByte;
    } else {
      repaired.push_back(byte);
    }
  }
  encode_known(repaired, added, ids);
  return ids;
}

void Tokenizer::encode_known(std::string_view text, AddedTokens added, std::vector<TokenId>& ids) const {
  if (added == AddedTokens::kRefuse && letter_first_byte_.none()) {
    encode_plain(text, ids);
    return;
  }
  std::size_t plain = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto match = added_at(text, at, added);
    if (!match) {
      ++at;
      continue;
    }
    encode_plain(text.substr(plain, at - plain), ids);
    ids.push_back(match->id);
    plain = at += match->bytes;
  }
  encode_plain(text.substr(plain), ids);
}

void Tokenizer::encode_plain(std::string_view text, std::vector<TokenId>& ids) const {
  const std::string normal = nfc_ ? to_nfc(text) : std::string();
  for (const std::string_view piece : split_pieces(pre_tokenizer_, nfc_ ? std::string_view(normal) : text)) {
    bpe_.encode_piece(piece, ids);
  }
}

// Leftmost, then longest, as the reference does.
std::optional<Tokenizer::AddedMatch> Tokenizer::added_at(std::string_view text, std::size_t at, AddedTokens added) const {
  const auto& first_bytes = added == AddedTokens::kAllow ? added_first_byte_ : letter_first_byte_;
  if (!first_bytes.test(static_cast<std::uint8_t>(text[at]))) return std::nullopt;
  for (const std::size_t length : added_lengths_) {
    if (length > text.size() - at) continue;
    const auto found = added_.find(std::string(text.substr(at, length)));
    if (found == added_.end() || (added == AddedTokens::kRefuse && is_control(found->second))) continue;
    return AddedMatch{found->second, length};
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
