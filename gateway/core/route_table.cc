#include "gateway/core/route_table.h"

#include <algorithm>
#include <numeric>
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

}  // namespace

Result<RouteTable::Change> RouteTable::apply(RouteSnapshot snapshot) {
  if (loaded_ && (snapshot.term < snapshot_.term ||
                  (snapshot.term == snapshot_.term && snapshot.version < snapshot_.version))) {
    return fail(Code::kAborted, "stale_routes", "The routes are older than the ones in force; a newer scheduler leads.");
  }
  Change change;
  const auto same_worker = [](const Route& a, const Route& b) {
    return a.worker_id == b.worker_id && a.address == b.address;
  };
  for (const Route& now : snapshot.routes) {
    const auto before = std::ranges::find_if(snapshot_.routes, [&](const Route& r) { return same_worker(r, now); });
    if (before == snapshot_.routes.end()) {
      change.added.push_back(now);
    } else if (*before != now) {
      change.changed.push_back(now);
    }
  }
  for (const Route& before : snapshot_.routes) {
    const bool stays =
        std::ranges::any_of(snapshot.routes, [&](const Route& r) { return same_worker(r, before); });
    if (!stays) change.removed.push_back(before.worker_id);
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

Result<ServingPool> RouteTable::pool_for(std::string_view model) const {
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
  return found->second;
}

void RouteTable::refresh_pools() {
  struct Candidate {
    ServingPool pool;
    int workers = 0;
  };
  std::map<std::string, std::vector<Candidate>> by_model;
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
  for (auto& [model, candidates] : by_model) {
    const auto rank = [&](const Candidate& c) { return std::pair(c.pool.region == home_region_, c.workers); };
    pools_[model] = std::ranges::max(candidates, {}, rank).pool;
  }
  std::erase_if(pools_, [&](const auto& entry) { return !offers(entry.first); });
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
