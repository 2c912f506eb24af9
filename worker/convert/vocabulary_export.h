#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/core/result.h"
#include "base/json/json.h"
#include "worker/format/gguf_head.h"
#include "worker/tokenizer/tokenizer_file.h"

namespace tidegate::worker {

/// What stands around a vocabulary: in tokenizer_config.json and config.json of a folder, in the metadata of a GGUF file.
struct VocabularyFacts {
  std::optional<std::int64_t> bos;
  std::optional<std::int64_t> eos;
  std::optional<std::int64_t> pad;
  std::optional<bool> add_bos;
  std::string chat_template;  ///< empty: none
};

/// Of a Hugging Face folder. Tokens are looked up among `file`'s added tokens. A missing tokenizer_config.json is no error.
Result<VocabularyFacts> read_vocabulary_facts(const std::filesystem::path& folder, const TokenizerFile& file);
/// Of a GGUF file.
Result<VocabularyFacts> vocabulary_facts_of_gguf(const GgufFile& file);

/// The vocabulary as GGUF metadata: one entry for each of the model's `vocab` rows, those without a token as unused ones.
/// Fails: invalid_argument/bad_conversion when llama.cpp has no name for the way of splitting text, or there are more tokens
/// than rows.
Status put_vocabulary(const TokenizerFile& file, const VocabularyFacts& facts, std::int64_t vocab, GgufHead& head);

/// The vocabulary as tokenizer.json and tokenizer_config.json.
json::object tokenizer_json_of(const TokenizerFile& file);
json::object tokenizer_config_of(const TokenizerFile& file, const VocabularyFacts& facts);

}  // namespace tidegate::worker
