#include "worker/tokenizer/tokenizer_file.h"

#include <fmt/format.h>

#include <limits>

#include "base/json/json.h"
#include "worker/tokenizer/byte_map.h"

namespace tidegate::worker {
namespace {

// The three Split patterns of DeepSeek-V3, as its tokenizer.json spells them. pre_tokenizer.cc is their
// translation.
constexpr std::string_view kDeepseekV3Patterns[] = {
    "\\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
};

std::unexpected<Error> unsupported(std::string_view what, std::string_view field) {
  return fail(
      Code::kInvalidArgument, "tokenizer_unsupported",
      fmt::format("tokenizer.json: {} is not supported; supported is the byte-level BPE of DeepSeek-V3",
                  what),
      std::string(field));
}

bool is_true(const json::object& from, std::string_view key) {
  const json::value* value = from.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

bool is_string(const json::object& from, std::string_view key, std::string_view wanted) {
  const json::value* value = from.if_contains(key);
  return value != nullptr && value->is_string() && std::string_view(value->get_string()) == wanted;
}

Status check_normalizer(const json::object& root) {
  const json::value* normalizer = root.if_contains("normalizer");
  if (normalizer == nullptr || normalizer->is_null()) return {};
  if (normalizer->is_object() && is_string(normalizer->get_object(), "type", "Sequence")) {
    TG_ASSIGN(const json::array* steps,
              json::get_array(normalizer->get_object(), "normalizers", "normalizer"));
    if (steps->empty()) return {};
  }
  return unsupported("a normaliser", "normalizer");
}

Status check_split(const json::value& value, std::string_view pattern) {
  if (!value.is_object() || !is_string(value.get_object(), "type", "Split")) {
    return unsupported("this pre-tokenizer sequence", "pre_tokenizer");
  }
  const json::object& split = value.get_object();
  TG_ASSIGN(const json::object* regex, json::get_object(split, "pattern", "pre_tokenizer"));
  if (!is_string(*regex, "Regex", pattern)) return unsupported("a split pattern", "pre_tokenizer");
  if (!is_string(split, "behavior", "Isolated") || is_true(split, "invert")) {
    return unsupported("a split that is not Isolated", "pre_tokenizer");
  }
  return {};
}

Result<PreTokenizerKind> read_pre_tokenizer(const json::object& root) {
  TG_ASSIGN(const json::object* sequence, json::get_object(root, "pre_tokenizer"));
  TG_ASSIGN(const json::array* steps, json::get_array(*sequence, "pretokenizers", "pre_tokenizer"));
  constexpr std::size_t kSplits = std::size(kDeepseekV3Patterns);
  if (steps->size() != kSplits + 1) return unsupported("this pre-tokenizer sequence", "pre_tokenizer");
  for (std::size_t index = 0; index < kSplits; ++index) {
    TG_TRY(check_split((*steps)[index], kDeepseekV3Patterns[index]));
  }
  const json::value& last = (*steps)[kSplits];
  if (!last.is_object() || !is_string(last.get_object(), "type", "ByteLevel") ||
      is_true(last.get_object(), "add_prefix_space") || is_true(last.get_object(), "use_regex")) {
    return unsupported("a byte-level step with its own pattern or prefix space", "pre_tokenizer");
  }
  return PreTokenizerKind::kDeepseekV3;
}

Result<TokenId> read_id(const json::value& value, std::string_view field) {
  if (!value.is_int64() || value.get_int64() < 0 || value.get_int64() > std::numeric_limits<TokenId>::max()) {
    return unsupported("a token id that is not a 31-bit number", field);
  }
  return static_cast<TokenId>(value.get_int64());
}

Result<std::string> read_spelling(std::string_view spelling, std::string_view field) {
  auto bytes = bytes_of_spelling(spelling);
  if (!bytes || bytes->empty()) return unsupported(fmt::format("the spelling '{}'", spelling), field);
  return *std::move(bytes);
}

// Both "left right" and ["left", "right"] are in use.
Result<std::pair<std::string, std::string>> read_merge(const json::value& value) {
  std::string_view left;
  std::string_view right;
  if (value.is_string()) {
    const std::string_view both = value.get_string();
    const std::size_t space = both.find(' ');
    if (space == std::string_view::npos) return unsupported("a merge without a space", "model.merges");
    left = both.substr(0, space);
    right = both.substr(space + 1);
  } else if (value.is_array() && value.get_array().size() == 2 && value.get_array()[0].is_string() &&
             value.get_array()[1].is_string()) {
    left = value.get_array()[0].get_string();
    right = value.get_array()[1].get_string();
  } else {
    return unsupported("a merge that is not a pair", "model.merges");
  }
  TG_ASSIGN(std::string left_bytes, read_spelling(left, "model.merges"));
  TG_ASSIGN(std::string right_bytes, read_spelling(right, "model.merges"));
  return std::pair(std::move(left_bytes), std::move(right_bytes));
}

Status read_model(const json::object& root, TokenizerFile& file) {
  TG_ASSIGN(const json::object* model, json::get_object(root, "model"));
  if (!is_string(*model, "type", "BPE")) return unsupported("a model that is not BPE", "model.type");
  for (const std::string_view key : {"byte_fallback", "ignore_merges"}) {
    if (is_true(*model, key)) return unsupported(key, fmt::format("model.{}", key));
  }
  for (const std::string_view key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    const json::value* value = model->if_contains(key);
    const bool empty =
        value == nullptr || value->is_null() || (value->is_string() && value->get_string().empty());
    if (!empty) return unsupported(key, fmt::format("model.{}", key));
  }
  TG_ASSIGN(const json::object* vocab, json::get_object(*model, "vocab", "model"));
  TG_ASSIGN(const json::array* merges, json::get_array(*model, "merges", "model"));
  file.vocab.reserve(vocab->size());
  for (const auto& entry : *vocab) {
    TG_ASSIGN(const TokenId id, read_id(entry.value(), "model.vocab"));
    // Added tokens may also stand in the vocabulary, spelled as themselves: those are not byte spellings.
    auto bytes = bytes_of_spelling(entry.key());
    if (bytes && !bytes->empty()) file.vocab.emplace_back(*std::move(bytes), id);
  }
  file.merges.reserve(merges->size());
  for (const json::value& value : *merges) {
    TG_ASSIGN(auto merge, read_merge(value));
    file.merges.push_back(std::move(merge));
  }
  return {};
}

Status read_added(const json::object& root, TokenizerFile& file) {
  const json::value* list = root.if_contains("added_tokens");
  if (list == nullptr || list->is_null()) return {};
  TG_ASSIGN(const json::array* tokens, json::get_array(root, "added_tokens"));
  for (const json::value& value : *tokens) {
    if (!value.is_object()) return unsupported("an added token that is not an object", "added_tokens");
    const json::object& token = value.get_object();
    for (const std::string_view key : {"lstrip", "rstrip", "single_word"}) {
      if (is_true(token, key)) return unsupported(key, "added_tokens");
    }
    TG_ASSIGN(const json::value* id, json::member(token, "id", "added_tokens"));
    AddedToken added;
    TG_ASSIGN(added.id, read_id(*id, "added_tokens"));
    TG_ASSIGN(added.text, json::get_string(token, "content", "added_tokens"));
    if (added.text.empty()) return unsupported("an empty added token", "added_tokens");
    added.special = is_true(token, "special");
    file.added.push_back(std::move(added));
  }
  return {};
}

}  // namespace

Result<TokenizerFile> load_tokenizer_file(const std::string& path) {
  TG_ASSIGN(const json::value document, json::parse_file(path));
  if (!document.is_object()) return unsupported("a document that is not an object", "");
  const json::object& root = document.get_object();
  TokenizerFile file;
  TG_TRY(check_normalizer(root));
  TG_ASSIGN(file.pre_tokenizer, read_pre_tokenizer(root));
  TG_TRY(read_model(root, file));
  TG_TRY(read_added(root, file));
  return file;
}

}  // namespace tidegate::worker
