// The scheduler's prediction of KV memory against the engine itself: the two are written apart, since services never
// include each other, and this is where they meet.
#include <gmock/gmock.h>

#include <string>

#include "scheduler/catalogue/catalogue_file.h"
#include "worker/engine/open_engine.h"

namespace tidegate {
namespace {

const std::string kModels = std::string(TG_SOURCE_DIR) + "/models";

std::int64_t allocated(std::int32_t sequences_max, std::int64_t kv_mib) {
  worker::EngineOptions options;
  options.sequences_max = sequences_max;
  options.kv_bytes_max = kv_mib << 20;
  options.load.threads = 1;
  const auto engine = worker::open_engine(kModels + "/tang-moe", options);
  return engine ? (*engine)->facts().kv_tokens_capacity : -1;
}

std::int64_t predicted(std::int32_t sequences_max, std::int64_t kv_mib) {
  static const scheduler::Catalogue catalogue = *scheduler::load_catalogue(kModels + "/catalogue");
  scheduler::Deployment deployment{.name = "t", .model = "tang-moe", .variant = "fp8"};
  deployment.sequences_max = sequences_max;
  deployment.options = {"kv.mib=" + std::to_string(kv_mib)};
  return scheduler::predicted_kv_tokens(deployment, catalogue);
}

TEST(CpuEngineFit, PredictionIsWhatTheEngineAllocatesToTheToken) {
  struct Case {
    std::int32_t sequences_max;
    std::int64_t kv_mib;
  };
  for (const Case& each : {Case{16, 1024}, Case{1, 1024}, Case{64, 16}, Case{7, 3}, Case{200, 64}}) {
    EXPECT_EQ(allocated(each.sequences_max, each.kv_mib), predicted(each.sequences_max, each.kv_mib))
        << each.sequences_max << " sequences, " << each.kv_mib << " MiB";
  }
}

TEST(CpuEngineFit, WorkersDefaultsAreTheSchedulers) {
  const worker::EngineOptions engine;
  const scheduler::CpuEngineMemory memory;
  EXPECT_EQ(memory.sequences_max, engine.sequences_max);
  EXPECT_EQ(memory.kv_bytes_max, engine.kv_bytes_max);
}

}  // namespace
}  // namespace tidegate
