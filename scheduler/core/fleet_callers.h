#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/core/result.h"

/// Who may look at the fleet and who may change it. Roles are billing's, which knows the keys of people and the identity
/// provider; what they may do here is decided here. Pure.
namespace tidegate::scheduler {

enum class CallerRole : std::uint8_t { kOperator, kOwner, kBilling, kDeveloper, kViewer };
/// "operator", "owner", ...
std::string_view caller_role_name(CallerRole role);

struct FleetCaller {
  std::string actor;  ///< "admin/<public id of a key>" or "person/<name at the identity provider>"
  CallerRole role = CallerRole::kViewer;
  bool is_of_one_tenant = false;
};

enum class FleetRight : std::uint8_t { kLook, kChange };

struct FleetMethod {
  std::string_view method;  ///< its name in the proto
  FleetRight right = FleetRight::kChange;
};
/// Every method of FleetAdmin, in its order; a test compares.
std::span<const FleetMethod> fleet_methods();

/// Every role looks, operators and owners change. The fleet is the installation's: who is of one tenant sees nothing of
/// it, for no deployment belongs to a tenant. A method that is not in the table is refused to everybody.
/// Fails: permission_denied/role_not_allowed naming the roles that may, permission_denied/tenant_not_allowed.
Status check_fleet_method(std::string_view method, const FleetCaller& caller);

}  // namespace tidegate::scheduler
