#include "scheduler/core/fleet_callers.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace tidegate::scheduler {

namespace {

constexpr FleetMethod kTable[] = {
    {"ListModels", FleetRight::kLook},        {"ListDeployments", FleetRight::kLook},
    {"ApplyDeployment", FleetRight::kChange}, {"DeleteDeployment", FleetRight::kChange},
    {"ListWorkers", FleetRight::kLook},       {"PlanDeployment", FleetRight::kLook},
    {"ChangeRollout", FleetRight::kChange},
};

bool may(FleetRight right, CallerRole role) {
  switch (right) {
    case FleetRight::kLook:
      return true;
    case FleetRight::kChange:
      return role == CallerRole::kOperator || role == CallerRole::kOwner;
  }
  return false;
}

}  // namespace

std::string_view caller_role_name(CallerRole role) {
  switch (role) {
    case CallerRole::kOperator:
      return "operator";
    case CallerRole::kOwner:
      return "owner";
    case CallerRole::kBilling:
      return "billing";
    case CallerRole::kDeveloper:
      return "developer";
    case CallerRole::kViewer:
      return "viewer";
  }
  return "";
}

std::span<const FleetMethod> fleet_methods() { return kTable; }

Status check_fleet_method(std::string_view method, const FleetCaller& caller) {
  if (caller.is_of_one_tenant) {
    return fail(Code::kPermissionDenied, "tenant_not_allowed",
                "the fleet is the whole installation's; this caller is of one tenant", "authorization");
  }
  const auto row = std::ranges::find(kTable, method, &FleetMethod::method);
  if (row == std::end(kTable)) {
    return fail(Code::kPermissionDenied, "role_not_allowed", fmt::format("no role may call {}", method));
  }
  if (may(row->right, caller.role)) return {};
  return fail(Code::kPermissionDenied, "role_not_allowed",
              fmt::format("{} is for operator, owner; this caller is a {}", method, caller_role_name(caller.role)),
              "authorization");
}

}  // namespace tidegate::scheduler
