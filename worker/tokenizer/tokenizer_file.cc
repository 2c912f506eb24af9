#include "worker/tokenizer/tokenizer_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/core/encoding.h"
#include "base/json/json.h"
#include "worker/tokenizer/byte_map.h"
#include "worker/tokenizer/split_patterns.h"

namespace tidegate::worker {
namespace {

/// Of a spelling that is none: it may be as long as the file.
constexpr std::size_t kQuotedBytesMax = 64;

std::unexpected<Error> unsupported(std::string_view what, std::string_view field) {
  return fail(
      Code::kInvalidArgument, "tokenizer_unsupported",
      fmt::format("tokenizer.json: {} is not supported; supported is the byte-level BPE of DeepSeek, Qwen2 and Llama 3",
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

/// True: form C.
Result<bool> read_normalizer(const json::object& root) {
  const json::value* normalizer = root.if_contains("normalizer");
  if (normalizer == nullptr || normalizer->is_null()) return false;
  if (normalizer->is_object() && is_string(normalizer->get_object(), "type", "NFC")) return true;
  if (normalizer->is_object() && is_string(normalizer->get_object(), "type", "Sequence")) {
    TG_ASSIGN(const json::array* steps,
              json::get_array(normalizer->get_object(), "normalizers", "normalizer"));
    if (steps->empty()) return false;
  }
  return unsupported("a normaliser", "normalizer");
}

/// Files spell line breaks both as characters and as escapes.
std::string with_escaped_breaks(std::string_view pattern) {
  std::string out;
  for (const char c : pattern) {
    if (c == '\r') {
      out += "\\r";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

/// The pattern of one step, as known_split_patterns() spells it.
Result<std::string> read_split(const json::value& value) {
  if (!value.is_object()) return unsupported("this pre-tokenizer sequence", "pre_tokenizer");
  const json::object& step = value.get_object();
  if (is_string(step, "type", "Digits")) return is_true(step, "individual_digits") ? "\\p{N}" : "\\p{N}+";
  if (!is_string(step, "type", "Split")) return unsupported("this pre-tokenizer sequence", "pre_tokenizer");
  if (!is_string(step, "behavior", "Isolated") || is_true(step, "invert")) {
    return unsupported("a split that is not Isolated", "pre_tokenizer");
  }
  TG_ASSIGN(const json::object* pattern, json::get_object(step, "pattern", "pre_tokenizer"));
  TG_ASSIGN(const std::string regex, json::get_string(*pattern, "Regex", "pre_tokenizer.pattern"));
  return with_escaped_breaks(regex);
}

Result<PreTokenizerKind> read_pre_tokenizer(const json::object& root) {
  TG_ASSIGN(const json::object* sequence, json::get_object(root, "pre_tokenizer"));
  TG_ASSIGN(const json::array* steps, json::get_array(*sequence, "pretokenizers", "pre_tokenizer"));
  if (steps->empty()) return unsupported("this pre-tokenizer sequence", "pre_tokenizer");
  const std::size_t splits = steps->size() - 1;
  std::vector<std::string> patterns;
  for (std::size_t index = 0; index < splits; ++index) {
    TG_ASSIGN(std::string pattern, read_split((*steps)[index]));
    patterns.push_back(std::move(pattern));
  }
  const json::value& last = (*steps)[splits];
  if (!last.is_object() || !is_string(last.get_object(), "type", "ByteLevel") ||
      is_true(last.get_object(), "add_prefix_space") || is_true(last.get_object(), "use_regex")) {
    return unsupported("a byte-level step with its own pattern or prefix space", "pre_tokenizer");
  }
  for (const SplitPatterns& known : known_split_patterns()) {
    if (std::ranges::equal(known.patterns, patterns)) return known.kind;
  }
  return unsupported("this sequence of split patterns", "pre_tokenizer");
}

Result<TokenId> read_id(const json::value& value, std::string_view field) {
  if (!value.is_int64() || value.get_int64() < 0 || value.get_int64() > std::numeric_limits<TokenId>::max()) {
    return unsupported("a token id that is not a 31-bit number", field);
  }
  return static_cast<TokenId>(value.get_int64());
}

Result<std::string> read_spelling(std::string_view spelling, std::string_view field) {
  auto bytes = bytes_of_spelling(spelling);
  if (!bytes || bytes->empty()) {
    return unsupported(fmt::format("the spelling '{}'", utf8_prefix(spelling, kQuotedBytesMax)), field);
  }
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
  if (is_true(*model, "byte_fallback")) return unsupported("byte_fallback", "model.byte_fallback");
  file.whole_pieces = is_true(*model, "ignore_merges");
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

Result<TokenizerFile> read_tokenizer(const json::value& document) {
  if (!document.is_object()) return unsupported("a document that is not an object", "");
  const json::object& root = document.get_object();
  TokenizerFile file;
  TG_ASSIGN(file.nfc, read_normalizer(root));
  TG_ASSIGN(file.pre_tokenizer, read_pre_tokenizer(root));
  TG_TRY(read_model(root, file));
  TG_TRY(read_added(root, file));
  return file;
}

}  // namespace

Result<TokenizerFile> load_tokenizer_file(const std::string& path) {
  TG_ASSIGN(const json::value document, json::parse_file(path));
  return read_tokenizer(document);
}

Result<TokenizerFile> parse_tokenizer_file(std::string_view text) {
  TG_ASSIGN(const json::value document, json::parse(text));
  return read_tokenizer(document);
}

}  // namespace tidegate::worker
