#include "worker/convert/side_files.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "base/json/json_dump.h"
#include "worker/convert/gguf_metadata.h"
#include "worker/convert/tensor_plan.h"
#include "worker/convert/vocabulary_export.h"
#include "worker/model/gguf_config.h"
#include "worker/tokenizer/gguf_tokenizer.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kCopied[] = {"tokenizer_config.json", "special_tokens_map.json", "generation_config.json",
                                        "tidegate.json", "LICENSE"};
constexpr std::uintmax_t kSideBytesMax = std::uintmax_t{1} << 28;

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

Result<std::string> read_side_file(const std::filesystem::path& path) {
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  std::ifstream in(path, std::ios::binary);
  if (error || !in) return fail(Code::kNotFound, "file_unreadable", fmt::format("cannot read {}", path.string()));
  if (bytes > kSideBytesMax) {
    return fail(Code::kInvalidArgument, "bad_conversion",
                fmt::format("{} has {} bytes; at most {} are allowed", path.string(), bytes, kSideBytesMax));
  }
  return std::string{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

SideFile json_file(std::string name, json::object content) {
  return {std::move(name), json::dump(json::value(std::move(content)), json::Spacing::kSpace) + "\n"};
}

std::string_view model_type_of(std::string_view hugging_face_class) {
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {{"DeepseekV3ForCausalLM", "deepseek_v3"},
                                                                      {"DeepseekV2ForCausalLM", "deepseek_v2"},
                                                                      {"DeepseekForCausalLM", "deepseek"},
                                                                      {"LlamaForCausalLM", "llama"},
                                                                      {"Qwen2ForCausalLM", "qwen2"}};
  for (const auto& [name, type] : kTypes) {
    if (name == hugging_face_class) return type;
  }
  return {};
}

Result<json::object> config_of(const std::filesystem::path& source, const ModelFiles& model) {
  if (!is_gguf(model)) {
    TG_ASSIGN(json::value document, json::parse_file((source / "config.json").string()));
    return std::move(document.get_object());  // read_model_spec has seen that it is one
  }
  const GgufFile& file = model.checkpoint.gguf_files().front();
  TG_ASSIGN(json::object config, config_of_gguf(file));
  TG_ASSIGN(const VocabularyFacts facts, vocabulary_facts_of_gguf(file));
  config["model_type"] = json::string(model_type_of(model.spec.architecture));
  config["hidden_act"] = "silu";
  if (facts.bos) config["bos_token_id"] = *facts.bos;
  if (facts.eos) config["eos_token_id"] = *facts.eos;
  return config;
}

Result<SideFile> config_file(const std::filesystem::path& source, const ModelFiles& model, const ConvertOptions& options) {
  TG_ASSIGN(json::object config, config_of(source, model));
  const char* dtype = options.precision == Precision::kF32 ? "float32" : "bfloat16";
  config["torch_dtype"] = dtype;
  if (config.contains("dtype")) config["dtype"] = dtype;
  config.erase("quantization_config");
  if (options.precision == Precision::kFp8) {
    json::array tile;
    tile.emplace_back(128);
    tile.emplace_back(128);
    json::object quantization;
    quantization["activation_scheme"] = "dynamic";
    quantization["fmt"] = "e4m3";
    quantization["quant_method"] = "fp8";
    quantization["weight_block_size"] = std::move(tile);
    config["quantization_config"] = std::move(quantization);
  }
  return json_file("config.json", std::move(config));
}

}  // namespace

Result<std::vector<SideFile>> side_files_of(const std::filesystem::path& source, const ModelFiles& model,
                                            const ConvertOptions& options, std::vector<std::string>& notes) {
  std::vector<SideFile> files;
  const std::filesystem::path folder = folder_of(source);
  const bool to_gguf = options.format == ModelFormat::kGguf;
  if (!to_gguf) {
    TG_ASSIGN(SideFile config, config_file(source, model, options));
    files.push_back(std::move(config));
  }
  for (const std::string_view name : kCopied) {
    if (!is_there(folder / name)) continue;
    TG_ASSIGN(std::string text, read_side_file(folder / name));
    files.push_back({std::string(name), std::move(text)});
  }
  const bool has_config = is_there(folder / "tokenizer_config.json");
  if (is_there(folder / "tokenizer.json")) {
    // A GGUF file that is made of it has the vocabulary inside.
    if (!to_gguf || is_gguf(model)) {
      TG_ASSIGN(std::string text, read_side_file(folder / "tokenizer.json"));
      files.push_back({"tokenizer.json", std::move(text)});
    }
  } else if (is_gguf(model)) {
    const GgufFile& file = model.checkpoint.gguf_files().front();
    const auto carried = tokenizer_of_gguf(file);
    TG_ASSIGN(const VocabularyFacts facts, vocabulary_facts_of_gguf(file));
    if (!carried) {
      notes.push_back("no tokenizer files: " + carried.error().message);
    } else {
      if (!to_gguf) files.push_back(json_file("tokenizer.json", tokenizer_json_of(*carried)));
      if (!has_config) files.push_back(json_file("tokenizer_config.json", tokenizer_config_of(*carried, facts)));
    }
  } else {
    notes.emplace_back("no tokenizer: the source has no tokenizer.json");
  }
  return files;
}

Result<GgufHead> gguf_head_of(const std::filesystem::path& source, const ModelFiles& model, const ConvertOptions& options,
                              std::vector<std::string>& notes) {
  GgufHead head;
  if (is_gguf(model)) {
    put_metadata_again(model.checkpoint.gguf_files().front(), options.precision, head);
    return head;
  }
  const std::filesystem::path named = std::filesystem::absolute(source).lexically_normal();
  const std::string name = (named.has_filename() ? named : named.parent_path()).filename().string();
  TG_TRY(put_model_metadata(model.spec, name, options.precision, head));
  if (!is_there(source / "tokenizer.json")) {
    // llama.cpp loads such a file for token ids only.
    head.put_text("tokenizer.ggml.model", "no_vocab");
    notes.emplace_back("the GGUF file has no vocabulary");
    return head;
  }
  TG_ASSIGN(const TokenizerFile tokenizer, load_tokenizer_file((source / "tokenizer.json").string()));
  TG_ASSIGN(const VocabularyFacts facts, read_vocabulary_facts(source, tokenizer));
  TG_TRY(put_vocabulary(tokenizer, facts, model.spec.vocab, head));
  return head;
}

}  // namespace tidegate::worker
