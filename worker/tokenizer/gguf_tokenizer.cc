#include "worker/tokenizer/gguf_tokenizer.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/core/encoding.h"
#include "worker/tokenizer/byte_map.h"

namespace tidegate::worker {
namespace {

struct KnownTokenizer {
  std::string_view name;  ///< of tokenizer.ggml.pre
  PreTokenizerKind kind;
  bool nfc = false;
  bool whole_pieces = false;
};
constexpr KnownTokenizer kKnownTokenizers[] = {
    {"deepseek-v3", PreTokenizerKind::kDeepseekV3},
    {"deepseek-llm", PreTokenizerKind::kDeepseekLlm},
    {"deepseek-coder", PreTokenizerKind::kDeepseekCoder},
    {"qwen2", PreTokenizerKind::kQwen2, true},
    {"deepseek-r1-qwen", PreTokenizerKind::kQwen2},
    {"llama-bpe", PreTokenizerKind::kLlama3, false, true},
    {"llama3", PreTokenizerKind::kLlama3, false, true},
    {"llama-v3", PreTokenizerKind::kLlama3, false, true},
};

/// Of tokenizer.ggml.token_type.
constexpr std::int64_t kNormal = 1;
constexpr std::int64_t kControl = 3;
constexpr std::int64_t kUserDefined = 4;

std::unexpected<Error> unsupported_gguf(const GgufFile& file, std::string_view key, std::string_view what) {
  return fail(Code::kInvalidArgument, "tokenizer_unsupported", fmt::format("{}: '{}' {}", file.name(), key, what),
              std::string(key));
}

constexpr std::string_view kModelKey = "tokenizer.ggml.model";
constexpr std::string_view kPreKey = "tokenizer.ggml.pre";
constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";
constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";

Status read_kind(const GgufFile& file, TokenizerFile& out) {
  TG_ASSIGN(const auto model, file.find_text(kModelKey));
  if (model != "gpt2") return unsupported_gguf(file, kModelKey, "is not 'gpt2': only byte-level BPE is supported");
  TG_ASSIGN(const auto pre, file.find_text(kPreKey));
  for (const KnownTokenizer& known : kKnownTokenizers) {
    if (pre != known.name) continue;
    out.pre_tokenizer = known.kind;
    out.nfc = known.nfc;
    out.whole_pieces = known.whole_pieces;
    return {};
  }
  std::string names;
  for (const KnownTokenizer& known : kKnownTokenizers) names += fmt::format("{}{}", names.empty() ? "" : ", ", known.name);
  return unsupported_gguf(file, kPreKey, fmt::format("is '{}'; {} are supported", utf8_prefix(pre.value_or(""), 64), names));
}

Status read_tokens(const GgufFile& file, TokenizerFile& out) {
  TG_ASSIGN(const auto* tokens, file.find_texts(kTokensKey));
  if (tokens == nullptr || tokens->empty()) return unsupported_gguf(file, kTokensKey, "is missing");
  TG_ASSIGN(const auto* types, file.find_integers(kTypesKey));
  if (types != nullptr && types->size() != tokens->size()) {
    return unsupported_gguf(file, kTypesKey, fmt::format("has {} elements for {} tokens", types->size(), tokens->size()));
  }
  out.vocab.reserve(tokens->size());
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    const std::string_view text = (*tokens)[i];
    const std::int64_t type = types == nullptr ? kNormal : (*types)[i];
    const auto id = static_cast<TokenId>(i);  // a list is shorter than GgufFile::kElementsMax
    if (type == kControl || type == kUserDefined) {
      if (text.empty()) return unsupported_gguf(file, kTokensKey, fmt::format("has an empty control token {}", i));
      // Its text is written out whole, in tokenizer.json too.
      if (!is_valid_utf8(text)) {
        return unsupported_gguf(file, kTokensKey, fmt::format("has a control token {} that is not UTF-8", i));
      }
      out.added.push_back({id, std::string(text), type == kControl});
    } else if (type == kNormal) {
      auto bytes = bytes_of_spelling(text);
      if (bytes && !bytes->empty()) out.vocab.emplace_back(*std::move(bytes), id);
    }
  }
  return {};
}

Status read_merges(const GgufFile& file, TokenizerFile& out) {
  TG_ASSIGN(const auto* merges, file.find_texts(kMergesKey));
  if (merges == nullptr) return unsupported_gguf(file, kMergesKey, "is missing");
  out.merges.reserve(merges->size());
  for (const std::string_view merge : *merges) {
    const std::size_t space = merge.find(' ');
    auto left = bytes_of_spelling(merge.substr(0, space));
    auto right = space == std::string_view::npos ? std::nullopt : bytes_of_spelling(merge.substr(space + 1));
    if (!left || !right || left->empty() || right->empty()) {
      return unsupported_gguf(file, kMergesKey,
                              fmt::format("holds a merge {} that is no pair of byte spellings", out.merges.size()));
    }
    out.merges.emplace_back(*std::move(left), *std::move(right));
  }
  return {};
}

}  // namespace

Result<TokenizerFile> tokenizer_of_gguf(const GgufFile& file) {
  TokenizerFile out;
  TG_TRY(read_kind(file, out));
  TG_TRY(read_tokens(file, out));
  TG_TRY(read_merges(file, out));
  return out;
}

}  // namespace tidegate::worker
