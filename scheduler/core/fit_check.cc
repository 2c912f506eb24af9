#include "scheduler/core/fit_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tidegate::scheduler {

std::string FitCheck::Finding::to_string() const {
  return fmt::format("predicted {} tokens of KV, allocated {}: off by {:+.1f} %", predicted, allocated,
                     error_ratio * 100);
}

std::optional<FitCheck::Finding> FitCheck::judge(const std::string& worker_id, WorkerState state,
                                                 std::int64_t allocated, std::int64_t predicted) {
  if (state != WorkerState::kReady || allocated <= 0 || predicted <= 0) return std::nullopt;
  const auto [slot, is_new] = findings_.try_emplace(worker_id);
  if (!is_new) return std::nullopt;
  slot->second = {.predicted = predicted,
                  .allocated = allocated,
                  .error_ratio = static_cast<double>(allocated - predicted) / static_cast<double>(predicted)};
  return slot->second;
}

double FitCheck::worst_error_ratio() const {
  double worst = 0;
  for (const auto& [id, finding] : findings_) worst = std::max(worst, std::abs(finding.error_ratio));
  return worst;
}

}  // namespace tidegate::scheduler
