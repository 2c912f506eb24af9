#include "billing/core/admin_roles.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tidegate::billing {
namespace {

constexpr AdminRole kRoles[] = {AdminRole::kOperator, AdminRole::kOwner, AdminRole::kBilling, AdminRole::kDeveloper,
                                AdminRole::kViewer};

bool may(std::string_view method, AdminRole role, bool is_of_one_tenant = false) {
  return check_method(method, role, is_of_one_tenant).has_value();
}

TEST(AdminRoles, NamesComeBack) {
  for (const AdminRole role : kRoles) EXPECT_EQ(parse_admin_role(admin_role_name(role)), role);
  EXPECT_FALSE(parse_admin_role("root"));
}

TEST(AdminRoles, EveryMethodStandsOnceAndIsOpenToOperatorsAndOwners) {
  std::set<std::string_view> seen;
  for (const MethodRule& rule : method_rules()) {
    EXPECT_TRUE(seen.insert(rule.method).second) << rule.method;
    EXPECT_TRUE(may(rule.method, AdminRole::kOperator)) << rule.method;
    EXPECT_TRUE(may(rule.method, AdminRole::kOwner)) << rule.method;
  }
}

TEST(AdminRoles, AViewerOnlyLooks) {
  for (const MethodRule& rule : method_rules()) {
    const bool looks = rule.method.starts_with("List") || rule.method.starts_with("Get") ||
                       rule.method.starts_with("Sum") || rule.method.starts_with("Prove") ||
                       rule.method.starts_with("Export") || rule.method == "PreviewInvoice";
    if (!looks) {
      EXPECT_FALSE(may(rule.method, AdminRole::kViewer)) << rule.method;
    }
  }
  EXPECT_TRUE(may("ListUsage", AdminRole::kViewer));
}

TEST(AdminRoles, MoneyAndKeysAreDifferentPeoplesWork) {
  for (const char* method : {"TopUp", "LoadPrices", "Adjust", "CreateGrant", "IssueInvoice"}) {
    EXPECT_TRUE(may(method, AdminRole::kBilling)) << method;
    EXPECT_FALSE(may(method, AdminRole::kDeveloper)) << method;
  }
  for (const char* method : {"CreateProject", "CreateKey", "RotateKey", "RevokeKey", "SetLimit"}) {
    EXPECT_TRUE(may(method, AdminRole::kDeveloper)) << method;
    EXPECT_FALSE(may(method, AdminRole::kBilling)) << method;
  }
}

TEST(AdminRoles, ATenantsKeyMakesNoMoneyAndSeesNothingOfTheHouse) {
  for (const char* method : {"TopUp", "CreateGrant", "SetCreditLimit", "Adjust", "SuspendTenant", "SetTenantShare", "CreateTenant",
                             "ListPrices", "ListAudit", "GetMargin", "Reconcile", "SaveBillingProfile", "SetLimit",
                             "RemoveLimit"}) {
    EXPECT_EQ(check_method(method, AdminRole::kOwner, true).error().reason, "tenant_not_allowed") << method;
  }
  EXPECT_TRUE(may("ListKeys", AdminRole::kViewer, true));
  EXPECT_TRUE(may("ListLimits", AdminRole::kViewer, true));
  EXPECT_TRUE(may("CreateKey", AdminRole::kDeveloper, true));
}

TEST(AdminRoles, AMethodWithoutARowIsRefusedToEverybody) {
  for (const AdminRole role : kRoles) EXPECT_FALSE(may("DropEverything", role));
}

TEST(AdminRoles, ARefusalNamesTheRolesThatMay) {
  const Status status = check_method("TopUp", AdminRole::kViewer, false);
  EXPECT_EQ(status.error().reason, "role_not_allowed");
  EXPECT_NE(status.error().message.find("operator, owner, billing"), std::string::npos);
}

TEST(AdminRoles, NobodyDelegatesMoreThanTheOwnRights) {
  const AdminKeyShape operator_key{AdminRole::kOperator, false}, owner{AdminRole::kOwner, false},
      tenants_owner{AdminRole::kOwner, true};
  EXPECT_TRUE(check_delegation(operator_key, {AdminRole::kOperator, false}, false));
  EXPECT_FALSE(check_delegation(owner, {AdminRole::kOperator, false}, false));
  EXPECT_EQ(check_delegation(operator_key, {AdminRole::kOperator, true}, false).error().reason, "bad_role");
  EXPECT_TRUE(check_delegation(owner, {AdminRole::kOwner, true}, false));
  EXPECT_TRUE(check_delegation(tenants_owner, {AdminRole::kOwner, true}, true));
  EXPECT_FALSE(check_delegation(tenants_owner, {AdminRole::kViewer, true}, false)) << "of another tenant";
  EXPECT_FALSE(check_delegation(tenants_owner, {AdminRole::kViewer, false}, false)) << "of every tenant";
}

}  // namespace
}  // namespace tidegate::billing
