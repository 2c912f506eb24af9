#include "scheduler/core/fleet_callers.h"

#include <gtest/gtest.h>

namespace tidegate::scheduler {
namespace {

constexpr CallerRole kRoles[] = {CallerRole::kOperator, CallerRole::kOwner, CallerRole::kBilling,
                                 CallerRole::kDeveloper, CallerRole::kViewer};

TEST(FleetCallers, EveryRoleLooksAndOperatorsAndOwnersChange) {
  for (const CallerRole role : kRoles) {
    const FleetCaller caller{"person/ann", role, false};
    const bool changes = role == CallerRole::kOperator || role == CallerRole::kOwner;
    for (const char* method : {"ListModels", "ListDeployments", "ListWorkers", "PlanDeployment"}) {
      EXPECT_TRUE(check_fleet_method(method, caller)) << method << " " << caller_role_name(role);
    }
    for (const char* method : {"ApplyDeployment", "DeleteDeployment", "ChangeRollout"}) {
      const auto allowed = check_fleet_method(method, caller);
      EXPECT_EQ(allowed.has_value(), changes) << method << " " << caller_role_name(role);
      if (!allowed) {
        EXPECT_EQ(allowed.error().reason, "role_not_allowed");
      }
    }
  }
}

TEST(FleetCallers, WhoIsOfOneTenantSeesNothing) {
  for (const FleetMethod& method : fleet_methods()) {
    const auto refused = check_fleet_method(method.method, {"person/ann", CallerRole::kOwner, true});
    ASSERT_FALSE(refused) << method.method;
    EXPECT_EQ(refused.error().reason, "tenant_not_allowed");
  }
}

TEST(FleetCallers, AMethodWithoutARowIsNobodys) {
  EXPECT_FALSE(check_fleet_method("Explode", {"admin/x", CallerRole::kOperator, false}));
}

}  // namespace
}  // namespace tidegate::scheduler
