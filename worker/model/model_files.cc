#include "worker/model/model_files.h"

#include <fmt/format.h>

#include <vector>

#include "worker/model/architecture.h"
#include "worker/model/gguf_config.h"
#include "worker/model/gguf_tensors.h"

namespace tidegate::worker {
namespace {

Result<ModelFiles> open_gguf(const std::vector<std::filesystem::path>& paths) {
  std::vector<GgufFile> files;
  for (const auto& path : paths) {
    TG_ASSIGN(GgufFile file, GgufFile::open(path));
    files.push_back(std::move(file));
  }
  // The parts behind the first hold tensors only, but the embedding is in the first.
  TG_ASSIGN(const json::object config, config_of_gguf(files.front()));
  auto spec = model_spec_of(config);
  if (!spec) {
    Error error = spec.error();
    error.message = fmt::format("{}, read as {}", files.front().name(), error.message);
    return fail(std::move(error));
  }
  ModelFiles model{*std::move(spec), Checkpoint(std::move(files))};
  TG_TRY(adjust_to_gguf(model.checkpoint, model.spec));
  TG_TRY(expose_gguf_tensors(model.spec, model.checkpoint));
  return model;
}

}  // namespace

std::filesystem::path folder_of(const std::filesystem::path& model) {
  std::error_code ignored;
  if (std::filesystem::is_directory(model, ignored)) return model;
  return model.parent_path().empty() ? std::filesystem::path(".") : model.parent_path();
}

Result<ModelFiles> open_model_files(const std::filesystem::path& model) {
  std::error_code ignored;
  if (!std::filesystem::exists(model / "config.json", ignored)) {
    TG_ASSIGN(const auto files, gguf_files_of(model));
    if (!files.empty()) return open_gguf(files);
  }
  TG_ASSIGN(ModelSpec spec, read_model_spec(model));
  TG_ASSIGN(Checkpoint checkpoint, Checkpoint::open(model));
  return ModelFiles{std::move(spec), std::move(checkpoint)};
}

}  // namespace tidegate::worker
