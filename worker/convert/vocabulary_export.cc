#include "worker/convert/vocabulary_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "worker/tokenizer/byte_map.h"
#include "worker/tokenizer/split_patterns.h"

namespace tidegate::worker {
namespace {

/// Of tokenizer.ggml.token_type.
constexpr std::int32_t kNormal = 1;
constexpr std::int32_t kControl = 3;
constexpr std::int32_t kUserDefined = 4;
constexpr std::int32_t kUnused = 5;

std::unexpected<Error> no_tokenizer_form(std::string message) {
  return fail(Code::kInvalidArgument, "bad_conversion", std::move(message), "tokenizer");
}

/// tokenizer.ggml.pre, with what llama.cpp does under that name.
Result<std::string_view> pre_name(const TokenizerFile& file) {
  const bool is_plain = !file.nfc && !file.whole_pieces;
  switch (file.pre_tokenizer) {
    case PreTokenizerKind::kDeepseekV3:
      if (is_plain) return "deepseek-v3";
      break;
    case PreTokenizerKind::kQwen2:
      if (!file.whole_pieces) return file.nfc ? "qwen2" : "deepseek-r1-qwen";
      break;
    case PreTokenizerKind::kLlama3:
      if (!file.nfc && file.whole_pieces) return "llama-bpe";
      break;
    case PreTokenizerKind::kDeepseekLlm:
      if (is_plain) return "deepseek-llm";
      break;
    case PreTokenizerKind::kDeepseekCoder:
      if (is_plain) return "deepseek-coder";
      break;
    case PreTokenizerKind::kDeepseekLlmSingleDigits:
      break;
  }
  return no_tokenizer_form("GGUF has no name for the way in which this tokenizer splits text; keep --format safetensors");
}

/// Turn and tool markers are control tokens to llama.cpp's own converter too, whatever the flag says: as user-defined ones,
/// text from outside would become them.
bool looks_like_a_marker(std::string_view text) {
  return (text.starts_with("<｜") && text.ends_with("｜>")) || (text.starts_with("<|") && text.ends_with("|>"));
}

std::optional<std::int64_t> id_of(const TokenizerFile& file, std::string_view text) {
  const auto found = std::ranges::find(file.added, text, &AddedToken::text);
  if (found == file.added.end()) return std::nullopt;
  return found->id;
}

/// A special token of tokenizer_config.json: its text, or an object with it.
std::optional<std::int64_t> special_token(const json::object& config, std::string_view key, const TokenizerFile& file) {
  const json::value* value = config.if_contains(key);
  if (value != nullptr && value->is_object()) value = value->get_object().if_contains("content");
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return id_of(file, value->get_string());
}

std::string text_of(const TokenizerFile& file, std::optional<std::int64_t> id) {
  for (const AddedToken& added : file.added) {
    if (id && added.id == *id) return added.text;
  }
  return {};
}

}  // namespace

Result<VocabularyFacts> read_vocabulary_facts(const std::filesystem::path& folder, const TokenizerFile& file) {
  VocabularyFacts facts;
  std::error_code ignored;
  if (!std::filesystem::exists(folder / "tokenizer_config.json", ignored)) return facts;
  TG_ASSIGN(const json::value document, json::parse_file((folder / "tokenizer_config.json").string()));
  if (!document.is_object()) return no_tokenizer_form("tokenizer_config.json is not an object");
  const json::object& config = document.get_object();
  facts.bos = special_token(config, "bos_token", file);
  facts.eos = special_token(config, "eos_token", file);
  facts.pad = special_token(config, "pad_token", file);
  TG_ASSIGN(facts.add_bos, json::find_bool(config, "add_bos_token"));
  const json::value* chat = config.if_contains("chat_template");
  if (chat != nullptr && chat->is_string()) facts.chat_template = std::string(chat->get_string());
  return facts;
}

Result<VocabularyFacts> vocabulary_facts_of_gguf(const GgufFile& file) {
  VocabularyFacts facts;
  TG_ASSIGN(facts.bos, file.find_integer("tokenizer.ggml.bos_token_id"));
  TG_ASSIGN(facts.eos, file.find_integer("tokenizer.ggml.eos_token_id"));
  TG_ASSIGN(facts.pad, file.find_integer("tokenizer.ggml.padding_token_id"));
  TG_ASSIGN(facts.add_bos, file.find_flag("tokenizer.ggml.add_bos_token"));
  TG_ASSIGN(const auto chat, file.find_text("tokenizer.chat_template"));
  facts.chat_template = std::string(chat.value_or(""));
  return facts;
}

Status put_vocabulary(const TokenizerFile& file, const VocabularyFacts& facts, std::int64_t vocab, GgufHead& head) {
  TG_ASSIGN(const std::string_view pre, pre_name(file));
  std::vector<std::string> tokens(static_cast<std::size_t>(vocab));
  std::vector<std::int32_t> types(tokens.size(), kUnused);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = fmt::format("[PAD{}]", i);
  const auto put = [&](TokenId id, std::string text, std::int32_t type) -> Status {
    if (id < 0 || id >= vocab) return no_tokenizer_form(fmt::format("token {} is beyond the model's {} rows", id, vocab));
    tokens[static_cast<std::size_t>(id)] = std::move(text);
    types[static_cast<std::size_t>(id)] = type;
    return {};
  };
  for (const auto& [bytes, id] : file.vocab) TG_TRY(put(id, spelling_of_bytes(bytes), kNormal));
  for (const AddedToken& added : file.added) {
    const bool is_control = added.special || looks_like_a_marker(added.text);
    TG_TRY(put(added.id, added.text, is_control ? kControl : kUserDefined));
  }
  std::vector<std::string> merges;
  merges.reserve(file.merges.size());
  for (const auto& [left, right] : file.merges) merges.push_back(spelling_of_bytes(left) + " " + spelling_of_bytes(right));

  head.put_text("tokenizer.ggml.model", "gpt2");
  head.put_text("tokenizer.ggml.pre", pre);
  head.put_texts("tokenizer.ggml.tokens", tokens);
  head.put_wholes("tokenizer.ggml.token_type", types);
  head.put_texts("tokenizer.ggml.merges", merges);
  const std::pair<std::string_view, std::optional<std::int64_t>> ids[] = {{"tokenizer.ggml.bos_token_id", facts.bos},
                                                                          {"tokenizer.ggml.eos_token_id", facts.eos},
                                                                          {"tokenizer.ggml.padding_token_id", facts.pad}};
  for (const auto& [key, id] : ids) {
    if (id && *id >= 0 && *id < vocab) head.put_whole(key, *id);
  }
  if (facts.add_bos) head.put_flag("tokenizer.ggml.add_bos_token", *facts.add_bos);
  if (!facts.chat_template.empty()) head.put_text("tokenizer.chat_template", facts.chat_template);
  return {};
}

namespace {

json::object split_step(std::string_view pattern) {
  json::object step;
  step["type"] = "Split";
  step["pattern"] = json::object{{"Regex", json::string(pattern)}};
  step["behavior"] = "Isolated";
  step["invert"] = false;
  return step;
}

json::object byte_level() {
  json::object step;
  step["type"] = "ByteLevel";
  step["add_prefix_space"] = false;
  step["trim_offsets"] = true;
  step["use_regex"] = false;
  return step;
}

json::object pre_tokenizer_json(PreTokenizerKind kind) {
  json::array steps;
  for (const SplitPatterns& known : known_split_patterns()) {
    if (known.kind != kind) continue;
    for (const std::string_view pattern : known.patterns) steps.emplace_back(split_step(pattern));
  }
  steps.emplace_back(byte_level());
  json::object sequence;
  sequence["type"] = "Sequence";
  sequence["pretokenizers"] = std::move(steps);
  return sequence;
}

json::object model_json(const TokenizerFile& file) {
  std::vector<std::pair<TokenId, std::string_view>> by_id;
  by_id.reserve(file.vocab.size());
  for (const auto& [bytes, id] : file.vocab) by_id.emplace_back(id, bytes);
  std::ranges::sort(by_id);
  json::object vocab;
  vocab.reserve(by_id.size());
  for (const auto& [id, bytes] : by_id) vocab[spelling_of_bytes(bytes)] = id;
  json::array merges;
  merges.reserve(file.merges.size());
  for (const auto& [left, right] : file.merges) {
    merges.emplace_back(json::string(spelling_of_bytes(left) + " " + spelling_of_bytes(right)));
  }
  json::object model;
  model["type"] = "BPE";
  model["dropout"] = nullptr;
  model["unk_token"] = nullptr;
  model["continuing_subword_prefix"] = nullptr;
  model["end_of_word_suffix"] = nullptr;
  model["fuse_unk"] = false;
  model["byte_fallback"] = false;
  model["ignore_merges"] = file.whole_pieces;
  model["vocab"] = std::move(vocab);
  model["merges"] = std::move(merges);
  return model;
}

}  // namespace

json::object tokenizer_json_of(const TokenizerFile& file) {
  json::array added;
  for (const AddedToken& token : file.added) {
    json::object one;
    one["id"] = token.id;
    one["content"] = token.text;
    one["single_word"] = false;
    one["lstrip"] = false;
    one["rstrip"] = false;
    one["normalized"] = false;
    one["special"] = token.special;
    added.emplace_back(std::move(one));
  }
  json::object root;
  root["version"] = "1.0";
  root["truncation"] = nullptr;
  root["padding"] = nullptr;
  root["added_tokens"] = std::move(added);
  if (file.nfc) {
    root["normalizer"] = json::object{{"type", "NFC"}};
  } else {
    root["normalizer"] = nullptr;
  }
  root["pre_tokenizer"] = pre_tokenizer_json(file.pre_tokenizer);
  root["post_processor"] = nullptr;
  root["decoder"] = byte_level();
  root["model"] = model_json(file);
  return root;
}

json::object tokenizer_config_of(const TokenizerFile& file, const VocabularyFacts& facts) {
  json::object config;
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  if (facts.add_bos) config["add_bos_token"] = *facts.add_bos;
  const std::pair<const char*, std::string> specials[] = {
      {"bos_token", text_of(file, facts.bos)}, {"eos_token", text_of(file, facts.eos)}, {"pad_token", text_of(file, facts.pad)}};
  for (const auto& [key, text] : specials) {
    if (!text.empty()) config[key] = text;
  }
  if (!facts.chat_template.empty()) config["chat_template"] = facts.chat_template;
  return config;
}

}  // namespace tidegate::worker
