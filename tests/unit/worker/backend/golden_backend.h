#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "tests/golden/golden_folder.h"
#include "worker/backend/cpu/cpu_backend.h"
#include "worker/model/architecture.h"

namespace tidegate::worker {

/// A golden model, ready to run.
inline std::unique_ptr<CpuBackend> golden_backend(const char* name, const CpuBackend::Options& options,
                                                  std::int32_t blocks,
                                                  const std::function<void(ModelSpec&)>& adjust = {}) {
  auto spec = read_model_spec(golden_folder(name));
  auto checkpoint = Checkpoint::open(golden_folder(name));
  EXPECT_TRUE(spec && checkpoint);
  if (adjust) adjust(*spec);
  auto backend = CpuBackend::create(std::move(*spec), *checkpoint, options);
  EXPECT_TRUE(backend) << backend.error().to_string();
  EXPECT_TRUE((*backend)->alloc_kv(blocks));
  return std::move(*backend);
}

}  // namespace tidegate::worker
