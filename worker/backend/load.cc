#include "worker/backend/load.h"

#include "worker/backend/cpu/cpu_backend.h"
#include "worker/model/model_files.h"

namespace tidegate::worker {

Result<std::unique_ptr<Backend>> load_backend(const std::filesystem::path& model_dir,
                                              const LoadOptions& options) {
  if (options.progress != nullptr) options.progress->enter(LoadPhase::kPull);
  TG_ASSIGN(ModelFiles model, open_model_files(model_dir));
  auto& [spec, checkpoint] = model;
  TG_ASSIGN(auto backend, CpuBackend::create(std::move(spec), checkpoint,
                                             {.threads = options.threads,
                                              .isa = options.isa,
                                              .digest = options.digest,
                                              .mtp = options.mtp,
                                              .progress = options.progress,
                                              .cache = options.cache,
                                              .report = options.report}));
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace tidegate::worker
