#include "worker/model/architecture.h"

#include <fmt/format.h>

#include <array>
#include <fstream>
#include <iterator>

#include "base/core/encoding.h"
#include "worker/model/deepseek_moe.h"
#include "worker/model/deepseek_v2.h"
#include "worker/model/deepseek_v3.h"
#include "worker/model/llama.h"
#include "worker/model/qwen2.h"

namespace tidegate::worker {
namespace {

constexpr std::array kArchitectures{
    Architecture{"DeepseekV3ForCausalLM", read_deepseek_v3}, Architecture{"DeepseekV2ForCausalLM", read_deepseek_v2},
    Architecture{"DeepseekForCausalLM", read_deepseek_moe},  Architecture{"LlamaForCausalLM", read_llama},
    Architecture{"Qwen2ForCausalLM", read_qwen2},
};

constexpr std::uintmax_t kConfigBytesMax = 1 << 20;

std::string known_names() {
  std::string names;
  for (const Architecture& known : kArchitectures) {
    if (!names.empty()) names += ", ";
    names += known.name;
  }
  return names;
}

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

Result<ModelSpec> parse_model_spec(std::string_view config_text) {
  auto document = json::parse(config_text);
  if (!document || !document->is_object()) {
    return fail(Code::kInvalidArgument, "bad_config",
                document ? "config.json is not an object" : "config.json: " + document.error().message);
  }
  return model_spec_of(document->get_object());
}

Result<ModelSpec> model_spec_of(const json::object& root) {
  const auto names = json::get_array(root, "architectures");
  if (!names || (*names)->size() != 1 || !(**names)[0].is_string()) {
    return fail(Code::kInvalidArgument, "bad_config",
                "config.json: architectures must be a list of one class name", "architectures");
  }
  const std::string name((**names)[0].get_string());
  for (const Architecture& known : kArchitectures) {
    if (known.name != name) continue;
    TG_ASSIGN(ModelSpec spec, known.read(ConfigReader(root)));
    spec.architecture = name;
    return spec;
  }
  return fail(
      Code::kInvalidArgument, "unknown_architecture",
      fmt::format("config.json: architecture '{}' is not known; this engine runs {}", utf8_prefix(name, 64), known_names()),
      "architectures");
}

Result<ModelSpec> read_model_spec(const std::filesystem::path& model_dir) {
  const auto path = model_dir / "config.json";
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error)
    return fail(Code::kNotFound, "no_config",
                fmt::format("cannot read {}: {}", path.string(), error.message()));
  if (bytes > kConfigBytesMax) {
    return fail(
        Code::kInvalidArgument, "bad_config",
        fmt::format("{} has {} bytes; at most {} are allowed", path.string(), bytes, kConfigBytesMax));
  }
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  return parse_model_spec(text);
}

}  // namespace tidegate::worker
