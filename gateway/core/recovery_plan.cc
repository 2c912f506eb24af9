#include "gateway/core/recovery_plan.h"

#include <algorithm>

namespace tidegate::gateway {

void RecoveryPlan::on_admit(RequestId request, std::string_view payload) {
  open_.try_emplace(request, Open{.order = next_order_++, .admit = std::string(payload), .progress = {}});
}

void RecoveryPlan::on_progress(RequestId request, std::string_view payload) {
  // Unknown: its FINAL came before it, or its ADMIT's segment is gone, which only happens after the FINAL.
  if (const auto found = open_.find(request); found != open_.end()) found->second.progress = std::string(payload);
}

void RecoveryPlan::on_final(RequestId request) { open_.erase(request); }

std::vector<RecoveryPlan::Cut> RecoveryPlan::interrupted() const {
  std::vector<std::pair<std::uint64_t, Cut>> cuts;
  for (const auto& [request, open] : open_) {
    if (open.progress) cuts.push_back({open.order, {request, open.admit, *open.progress}});
  }
  std::ranges::sort(cuts, {}, &std::pair<std::uint64_t, Cut>::first);
  std::vector<Cut> ordered;
  for (auto& [order, cut] : cuts) ordered.push_back(std::move(cut));
  return ordered;
}

std::size_t RecoveryPlan::void_count() const {
  return static_cast<std::size_t>(std::ranges::count_if(open_, [](const auto& entry) { return !entry.second.progress; }));
}

}  // namespace tidegate::gateway
