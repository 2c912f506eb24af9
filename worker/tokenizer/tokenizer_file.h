#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/result.h"
#include "worker/tokenizer/pre_tokenizer.h"

namespace tidegate::worker {

using TokenId = std::int32_t;

/// A token that is written out whole in the vocabulary's file: turn markers, think tags, tool markers.
struct AddedToken {
  TokenId id = 0;
  std::string text;
  bool special = false;  ///< as the file says; DeepSeek marks only BOS, EOS, pad and EOT
};

/// The contents of a Hugging Face tokenizer.json, or of a GGUF file's tokenizer, checked to be of a kind that this library
/// reproduces exactly.
struct TokenizerFile {
  PreTokenizerKind pre_tokenizer = PreTokenizerKind::kDeepseekV3;
  bool nfc = false;           ///< text is normalised to form C first (Qwen2)
  bool whole_pieces = false;  ///< a piece that is a token is that token, whatever its merges (Llama 3's ignore_merges)
  std::vector<std::pair<std::string, TokenId>> vocab;       ///< token bytes -> id, unordered
  std::vector<std::pair<std::string, std::string>> merges;  ///< bytes of left and right part, by rank
  std::vector<AddedToken> added;                            ///< in file order
};

/// Reads and checks the file. Fails: not_found/file_unreadable, invalid_argument/invalid_json,
/// invalid_argument/tokenizer_unsupported (another model type, pattern, normaliser, or a flag that changes
/// meaning).
Result<TokenizerFile> load_tokenizer_file(const std::string& path);
/// The same from the text of a tokenizer.json.
Result<TokenizerFile> parse_tokenizer_file(std::string_view text);

}  // namespace tidegate::worker
