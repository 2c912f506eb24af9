#include "gateway/core/worker_picker.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace tidegate::gateway {

double WorkerPicker::cost(const WorkerView& worker, std::int64_t prompt_tokens) const {
  // The last token of a prompt is always computed.
  const std::int64_t most = std::max<std::int64_t>(prompt_tokens - 1, 0);
  std::int64_t cached = std::clamp<std::int64_t>(worker.tokens_cached, 0, most);
  if (static_cast<double>(cached) < options_.cached_share_least * static_cast<double>(prompt_tokens)) cached = 0;
  const double work = static_cast<double>(worker.tokens_ahead) +
                      options_.recompute_weight * static_cast<double>(prompt_tokens - cached) +
                      options_.decode_tokens * static_cast<double>(worker.sequences);
  return work / worker.prefill_rate;
}

std::optional<std::size_t> WorkerPicker::pick(std::span<const WorkerView> workers, std::int64_t prompt_tokens) const {
  std::optional<std::size_t> best;
  std::pair<double, std::int64_t> best_key;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const std::pair<double, std::int64_t> key(cost(workers[i], prompt_tokens), workers[i].tokens_lifetime);
    if (best && !(key < best_key)) continue;
    best = i;
    best_key = key;
  }
  return best;
}

std::vector<std::size_t> WorkerPicker::shortlist(std::size_t workers, std::span<const std::size_t> holders) {
  std::vector<std::size_t> list;
  if (workers <= options_.scan_max) {
    list.resize(workers);
    std::iota(list.begin(), list.end(), std::size_t{0});
    return list;
  }
  const std::size_t holding = std::min(holders.size(), options_.holders_max);
  list.assign(holders.begin(), holders.begin() + static_cast<std::ptrdiff_t>(holding));
  for (std::size_t i = 0; i < options_.sample; ++i) list.push_back(static_cast<std::size_t>(rng_.below(workers)));
  std::ranges::sort(list);
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

std::int64_t WorkerPicker::ramp_limit(Duration since_open, std::int64_t sequences_max) const {
  if (!is_ramping(since_open)) return std::numeric_limits<std::int64_t>::max();
  const double share = std::chrono::duration<double>(std::max(since_open, Duration::zero())).count() /
                       std::chrono::duration<double>(options_.slow_start).count();
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(share * static_cast<double>(sequences_max)));
}

}  // namespace tidegate::gateway
