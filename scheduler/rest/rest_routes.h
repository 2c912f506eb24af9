#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// Which call of FleetAdmin a method and a path mean. The paths are those of the annotations in
/// proto/tidegate/v1/fleet.proto (a test compares), and one more: a single deployment.
namespace tidegate::scheduler {

enum class RestCall : std::uint8_t {
  kListModels,
  kListDeployments,
  kGetDeployment,
  kApplyDeployment,
  kDeleteDeployment,
  kListWorkers,
  kPlanDeployment,
  kChangeRollout,
};

struct RestRoute {
  std::string_view verb;  ///< "GET", ...
  std::string_view path;  ///< "{name}" stands for one segment
  std::string_view rpc;   ///< the method of FleetAdmin that answers
  RestCall call = RestCall::kListModels;
};
std::span<const RestRoute> rest_routes();

struct RestMatch {
  const RestRoute* route = nullptr;  ///< null: there is none of that method and path
  std::string_view name;             ///< what stood for "{name}"; a view into the path
  std::string allowed;               ///< with null: the methods that the path has, as in Allow; empty: no such path
};
RestMatch match_rest(std::string_view verb, std::string_view path);

}  // namespace tidegate::scheduler
