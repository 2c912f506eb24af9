#pragma once

#include <filesystem>
#include <functional>

#include "base/core/result.h"
#include "worker/backend/cpu/isa.h"
#include "worker/model/model_spec.h"
#include "worker/verify/report.h"

namespace tidegate::worker {

struct VerifyOptions {
  int threads = 2;
  CpuIsa isa = CpuIsa::kAuto;
  /// Changes the model between reading config.json and loading: how the sabotage tests break one formula.
  std::function<void(ModelSpec&)> adjust;
};

/// Runs every case of a golden file (tests/golden/README.md describes both kinds) on the CPU backend and
/// compares: every tensor the file holds, the greedy continuation fed in chunks of 7 then token by token, and
/// the drafts if the model has a draft layer. Greedy tokens are compared up to the first margin below
/// tolerance. A difference is not an Error: it is in the report. Fails when files cannot be read or the model
/// cannot run.
Result<VerifyReport> verify_golden(const std::filesystem::path& model_dir,
                                   const std::filesystem::path& golden_file_or_dir,
                                   const VerifyOptions& options = {});

}  // namespace tidegate::worker
