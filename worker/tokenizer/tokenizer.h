#pragma once

#include <bitset>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/core/result.h"
#include "worker/tokenizer/bpe.h"
#include "worker/tokenizer/tokenizer_file.h"

namespace tidegate::worker {

/// Whether text that spells an added token ("<｜User｜>") becomes that token. Letter tokens (see Tokenizer) are text: always.
///   kRefuse  how every text from outside must be encoded: no text can become a control token.
///   kAllow   how Hugging Face encodes by default: for trusted, already rendered text, and for comparing with
///   it.
enum class AddedTokens : std::uint8_t { kRefuse, kAllow };

/// Whether decoding writes added tokens out as text or leaves them away.
enum class ControlText : std::uint8_t { kSkip, kKeep };

/// Text to ids and back, equal to the checkpoint's reference tokenizer. Immutable after load; thread-safe.
///
/// No BOS is ever put in front: the chat template writes it. `tidegate tokenize` prints encode(text, kAllow),
/// the golden files' `ids`; their `ids_plain` is encode(text, kRefuse).
///
/// Letter tokens: vocabularies that lack the bytes which no UTF-8 holds (DeepSeek LLM and Coder) list the 13 letters that spell
/// those bytes ("ü" spells FC) as added tokens. The reference writes every such letter of a text as that token and the models
/// have learnt them so: here they are text like any other, in prompts and in answers, and no control tokens.
class Tokenizer {
 public:
  /// Reads DIR/tokenizer.json or, where it has none, the GGUF model in DIR (or the one that DIR names). Fails as
  /// load_tokenizer_file, GgufFile::open and tokenizer_of_gguf do.
  static Result<Tokenizer> load(const std::string& dir);
  /// Fails: invalid_argument/tokenizer_unsupported: as Bpe::build; an id that two tokens have, or one so far above the number
  /// of tokens that the table of them would not be in proportion to the file.
  static Result<Tokenizer> build(const TokenizerFile& file);

  /// Linear in the text but for a logarithm (see Bpe). Text should be UTF-8; other bytes are kept as bytes, but for one that the
  /// vocabulary has no token for: that one becomes U+FFFD, as if the text had been repaired first. Where the checkpoint
  /// normalises (Qwen2), text in another form than C does not come back as it was.
  std::vector<TokenId> encode(std::string_view text, AddedTokens added) const;

  /// The bytes of `ids`, in order; not UTF-8 if a character was cut (see TextDecoder). Unknown ids have no
  /// bytes.
  std::string decode(std::span<const TokenId> ids, ControlText control = ControlText::kSkip) const;

  /// Bytes that one token stands for; empty for an id that is no token.
  std::string_view token_bytes(TokenId id) const;
  /// Added tokens: turn markers, think tags, tool markers, BOS, EOS.
  bool is_control(TokenId id) const;
  /// The added token spelled exactly so.
  std::optional<TokenId> control_id(std::string_view text) const;

  /// Smallest number above every token's id. Logits from here on belong to padding rows and must never be
  /// sampled.
  TokenId vocab_limit() const { return static_cast<TokenId>(tokens_.size()); }
  /// Most bytes of text that one token can stand for: a text of n bytes has at least n / that many tokens, which
  /// refuses huge prompts cheaply. The longest token, or thrice that where text is composed first.
  std::size_t token_bytes_max() const { return token_bytes_max_; }
  /// Whether any bytes at all, not only UTF-8, can be encoded as they are.
  bool has_every_byte() const { return !bpe_.lacks_bytes(); }

 private:
  struct Token {
    std::string bytes;
    bool added = false;
    bool control = false;  ///< added, and no letter token
  };
  struct AddedMatch {
    TokenId id = 0;
    std::size_t bytes = 0;
  };
  Tokenizer(PreTokenizerKind pre_tokenizer, bool nfc, Bpe bpe)
      : pre_tokenizer_(pre_tokenizer), nfc_(nfc), bpe_(std::move(bpe)) {}
  bool is_letter(const AddedToken& token) const;
  void encode_known(std::string_view text, AddedTokens added, std::vector<TokenId>& ids) const;
  void encode_plain(std::string_view text, std::vector<TokenId>& ids) const;
  std::optional<AddedMatch> added_at(std::string_view text, std::size_t at, AddedTokens added) const;

  PreTokenizerKind pre_tokenizer_;
  bool nfc_;
  Bpe bpe_;
  std::vector<Token> tokens_;                       ///< by id
  std::unordered_map<std::string, TokenId> added_;  ///< by text
  std::vector<std::size_t> added_lengths_;          ///< distinct lengths of added tokens, longest first
  std::bitset<256> added_first_byte_;               ///< bytes that an added token may start with
  std::bitset<256> letter_first_byte_;              ///< bytes that a letter token may start with
  std::size_t token_bytes_max_ = 1;
};

}  // namespace tidegate::worker
