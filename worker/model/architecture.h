#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "base/core/result.h"
#include "worker/model/config_reader.h"
#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// One entry of the registry: a Hugging Face class and how its config.json becomes a ModelSpec.
struct Architecture {
  std::string_view name;
  Result<ModelSpec> (*read)(const ConfigReader& config);
};

/// Every architecture this engine runs. Another one joins by adding its entry in architecture.cc.
std::span<const Architecture> architectures();

/// Reads <model_dir>/config.json. Fails: not_found; invalid_argument/unknown_architecture (the message lists
/// the known ones); invalid_argument/bad_config (field is the offending member).
Result<ModelSpec> read_model_spec(const std::filesystem::path& model_dir);
/// The same from the text of a config.json.
Result<ModelSpec> parse_model_spec(std::string_view config_text);
Result<ModelSpec> model_spec_of(const json::object& config);

}  // namespace tidegate::worker
