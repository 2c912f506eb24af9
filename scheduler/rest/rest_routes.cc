#include "scheduler/rest/rest_routes.h"

#include <optional>

namespace tidegate::scheduler {

namespace {

constexpr RestRoute kRestRoutes[] = {
    {"GET", "/v1/tidegate/catalogue", "ListModels", RestCall::kListModels},
    {"GET", "/v1/tidegate/deployments", "ListDeployments", RestCall::kListDeployments},
    {"GET", "/v1/tidegate/deployments/{name}", "ListDeployments", RestCall::kGetDeployment},
    {"PUT", "/v1/tidegate/deployments/{name}", "ApplyDeployment", RestCall::kApplyDeployment},
    {"DELETE", "/v1/tidegate/deployments/{name}", "DeleteDeployment", RestCall::kDeleteDeployment},
    {"GET", "/v1/tidegate/workers", "ListWorkers", RestCall::kListWorkers},
    {"POST", "/v1/tidegate/deployment_plans", "PlanDeployment", RestCall::kPlanDeployment},
    {"POST", "/v1/tidegate/deployments/{name}/rollout", "ChangeRollout", RestCall::kChangeRollout},
};

constexpr std::string_view kNamePart = "{name}";

/// What stands for the name in `path`, empty where the route has none; nothing when the path is another.
std::optional<std::string_view> name_in(std::string_view path, std::string_view route) {
  const auto at = route.find(kNamePart);
  if (at == std::string_view::npos) return path == route ? std::optional(std::string_view()) : std::nullopt;
  const std::string_view before = route.substr(0, at);
  const std::string_view after = route.substr(at + kNamePart.size());
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) || !path.ends_with(after))
    return std::nullopt;
  const std::string_view name = path.substr(before.size(), path.size() - before.size() - after.size());
  if (name.find('/') != std::string_view::npos) return std::nullopt;
  return name;
}

}  // namespace

std::span<const RestRoute> rest_routes() { return kRestRoutes; }

RestMatch match_rest(std::string_view verb, std::string_view path) {
  RestMatch match;
  for (const RestRoute& route : kRestRoutes) {
    const auto name = name_in(path, route.path);
    if (!name) continue;
    if (route.verb == verb) {
      match.route = &route;
      match.name = *name;
      match.allowed.clear();
      return match;
    }
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += route.verb;
  }
  return match;
}

}  // namespace tidegate::scheduler
