#include "gateway/core/route_table.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace tidegate::gateway {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

constexpr std::size_t kNearNamesMax = 3;

bool is_allowed(const std::string& region, std::span<const std::string> regions) {
  return regions.empty() || std::ranges::find(regions, region) != regions.end();
}

/// "'eu-1', 'eu-2'"
std::string joined(const auto& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "'" : ", '") + name + "'";
  return out;
}

}  // namespace

std::string worker_key(const Route& route) {
  std::string key = route.worker_id;
  key.append(1, '\0').append(route.address);
  return key;
}

Result<RouteTable::Change> RouteTable::apply(RouteSnapshot snapshot) {
  if (loaded_ && (snapshot.term < snapshot_.term ||
                  (snapshot.term == snapshot_.term && snapshot.version < snapshot_.version))) {
    return fail(Code::kAborted, "stale_routes", "The routes are older than the ones in force; a newer scheduler leads.");
  }
  Change change;
  std::unordered_map<std::string, const Route*> known;
  for (const Route& before : snapshot_.routes) known.emplace(worker_key(before), &before);
  std::unordered_set<std::string> stays;
  for (const Route& now : snapshot.routes) {
    std::string key = worker_key(now);
    const auto before = known.find(key);
    if (before == known.end()) {
      change.added.push_back(now);
    } else if (*before->second != now) {
      change.changed.push_back(now);
    }
    stays.insert(std::move(key));
  }
  for (const Route& before : snapshot_.routes) {
    if (!stays.contains(worker_key(before))) change.removed.push_back(before.worker_id);
  }
  std::ranges::sort(snapshot.models);
  snapshot_ = std::move(snapshot);
  loaded_ = true;
  refresh_pools();
  return change;
}

bool RouteTable::offers(std::string_view model) const {
  return std::ranges::binary_search(snapshot_.models, model, std::less<>());
}

Result<ServingPool> RouteTable::pool_for(std::string_view model, std::span<const std::string> regions) const {
  if (!loaded_) {
    return fail(Code::kUnavailable, "routes_not_loaded", "The gateway has not heard from its scheduler yet; retry.");
  }
  if (!offers(model)) {
    std::string message = "The model does not exist here.";
    const auto near = near_names(model, snapshot_.models);
    if (!near.empty()) {
      message += " Did you mean";
      for (std::size_t i = 0; i < near.size(); ++i) message += (i == 0 ? " '" : ", '") + near[i] + "'";
      message += "?";
    }
    return fail(Code::kNotFound, "model_not_found", std::move(message), "model");
  }
  const auto found = pools_.find(model);
  if (found == pools_.end()) {
    return fail(Code::kUnavailable, "model_not_ready", "No worker serves this model yet; retry shortly.", "model");
  }
  if (const Candidate* best = best_of(found->second, regions)) return best->pool;
  std::set<std::string> served;
  for (const Candidate& candidate : found->second) served.insert(candidate.pool.region);
  return fail(Code::kPermissionDenied, "region_not_allowed",
              "This account's requests may be served in " + joined(regions) + ", the model is served in " +
                  joined(served) + "; use another model, or ask for one of these regions.",
              "model");
}

std::vector<ServingPool> RouteTable::pools_beside(const ServingPool& pool, std::span<const std::string> regions) const {
  std::vector<ServingPool> out;
  const auto found = pools_.find(pool.model);
  if (found == pools_.end()) return out;
  std::vector<Candidate> live;
  for (const Candidate& candidate : found->second) {
    const bool is_same = candidate.pool.region == pool.region && candidate.pool.pool == pool.pool;
    if (is_same || candidate.workers == 0 || !is_allowed(candidate.pool.region, regions)) continue;
    if (candidate.pool.context_max < pool.context_max) continue;
    live.push_back(candidate);
  }
  std::ranges::stable_sort(live, std::greater<>(), &Candidate::workers);
  for (Candidate& candidate : live) out.push_back(std::move(candidate.pool));
  return out;
}

const RouteTable::Candidate* RouteTable::best_of(const std::vector<Candidate>& candidates,
                                                 std::span<const std::string> regions) const {
  const Candidate* best = nullptr;
  // Without workers one is as good as another: the first, which had them last.
  const auto rank = [&](const Candidate& c) {
    return std::tuple(c.workers > 0, c.workers > 0 && c.pool.region == home_region_, c.workers);
  };
  for (const Candidate& candidate : candidates) {
    if (!is_allowed(candidate.pool.region, regions)) continue;
    if (best == nullptr || rank(*best) < rank(candidate)) best = &candidate;
  }
  return best;
}

void RouteTable::refresh_pools() {
  std::map<std::string, std::vector<Candidate>, std::less<>> by_model;
  for (const Route& route : snapshot_.routes) {
    if (route.draining) continue;
    auto& candidates = by_model[route.model];
    auto found = std::ranges::find_if(candidates, [&](const Candidate& c) {
      return c.pool.region == route.region && c.pool.pool == route.pool;
    });
    if (found == candidates.end()) {
      candidates.push_back({ServingPool{route.model, route.region, route.pool, route.context_max}, 0});
      found = std::prev(candidates.end());
    }
    ++found->workers;
    found->pool.context_max = std::min(found->pool.context_max, route.context_max);
  }
  // What is chosen among them stays the first choice when nothing has workers any more.
  const auto rank = [&](const Candidate& c) { return std::pair(c.pool.region == home_region_, c.workers); };
  for (auto& [model, candidates] : by_model) std::ranges::stable_sort(candidates, std::greater<>(), rank);
  for (auto& [model, before] : pools_) {
    auto& now = by_model[model];
    for (Candidate& old : before) {
      const bool is_live = std::ranges::any_of(now, [&](const Candidate& c) {
        return c.pool.region == old.pool.region && c.pool.pool == old.pool.pool;
      });
      old.workers = 0;
      if (!is_live && now.size() < kPoolsRememberedMax) now.push_back(std::move(old));
    }
  }
  for (const ServingPool& offer : snapshot_.offers) {
    auto& now = by_model[offer.model];
    const bool is_known = std::ranges::any_of(now, [&](const Candidate& c) {
      return c.pool.region == offer.region && c.pool.pool == offer.pool;
    });
    if (!is_known && now.size() < kPoolsRememberedMax) now.push_back({offer, 0});
  }
  pools_ = std::move(by_model);
  std::erase_if(pools_, [&](const auto& entry) { return !offers(entry.first) || entry.second.empty(); });
}

std::vector<std::string> near_names(std::string_view wanted, const std::vector<std::string>& names) {
  std::vector<std::pair<std::size_t, std::string>> scored;
  for (const std::string& name : names) {
    const std::size_t distance = edit_distance(wanted, name);
    const bool contains = !wanted.empty() && name.find(wanted) != std::string::npos;
    if (contains || distance * 2 <= std::max(wanted.size(), name.size())) scored.emplace_back(distance, name);
  }
  std::ranges::sort(scored);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < scored.size() && i < kNearNamesMax; ++i) out.push_back(std::move(scored[i].second));
  return out;
}

}  // namespace tidegate::gateway
