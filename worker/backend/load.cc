#include "worker/backend/load.h"

#include "worker/backend/cpu/cpu_backend.h"
#include "worker/format/checkpoint.h"
#include "worker/model/architecture.h"

namespace tidegate::worker {

Result<std::unique_ptr<Backend>> load_backend(const std::filesystem::path& model_dir,
                                              const LoadOptions& options) {
  TG_ASSIGN(ModelSpec spec, read_model_spec(model_dir));
  TG_ASSIGN(const Checkpoint checkpoint, Checkpoint::open(model_dir));
  TG_ASSIGN(auto backend,
            CpuBackend::create(std::move(spec), checkpoint,
                               {.threads = options.threads, .isa = options.isa, .digest = options.digest, .mtp = options.mtp}));
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace tidegate::worker
