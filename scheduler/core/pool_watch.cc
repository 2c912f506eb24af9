#include "scheduler/core/pool_watch.h"

namespace tidegate::scheduler {

void PoolWatch::begin_term() {
  silences_.clear();
  shunned_until_.clear();
}

bool PoolWatch::is_lost(const std::string& deployment, const View& view, Duration lost_after, Mono now) {
  const auto [known, is_new] = silences_.try_emplace(deployment, Silence{.pool = view.pool, .since = now});
  Silence& silence = known->second;
  if (silence.pool != view.pool || !view.is_wanted || view.ready > 0) silence = {.pool = view.pool, .since = now};
  return !is_new && !view.has_worker && now - silence.since >= lost_after;
}

void PoolWatch::shun(const std::string& deployment, const PoolName& pool, Mono now) {
  shunned_until_[deployment].insert_or_assign(pool, now + kShunnedFor);
}

std::vector<PoolName> PoolWatch::shunned_by(const std::string& deployment, const std::set<PoolName>& serving,
                                            Mono now) const {
  std::set<PoolName> names;
  for (const auto& [owner, pools] : shunned_until_) {
    for (const auto& [pool, until] : pools) {
      if (now < until && (owner == deployment || !serving.contains(pool))) names.insert(pool);
    }
  }
  return {names.begin(), names.end()};
}

void PoolWatch::keep_only(const std::set<std::string>& deployments, Mono now) {
  const auto is_gone = [&deployments](const auto& entry) { return !deployments.contains(entry.first); };
  std::erase_if(silences_, is_gone);
  std::erase_if(shunned_until_, is_gone);
  for (auto& [owner, pools] : shunned_until_) {
    std::erase_if(pools, [now](const auto& entry) { return entry.second <= now; });
  }
}

}  // namespace tidegate::scheduler
