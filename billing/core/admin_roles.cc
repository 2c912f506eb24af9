#include "billing/core/admin_roles.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

namespace tidegate::billing {

namespace {

constexpr std::array kRoles = {AdminRole::kOperator, AdminRole::kOwner, AdminRole::kBilling, AdminRole::kDeveloper,
                               AdminRole::kViewer};

constexpr std::uint8_t bit(AdminRole role) { return static_cast<std::uint8_t>(1U << static_cast<unsigned>(role)); }

constexpr std::uint8_t kOwners = bit(AdminRole::kOperator) | bit(AdminRole::kOwner);
constexpr std::uint8_t kMoney = kOwners | bit(AdminRole::kBilling);
constexpr std::uint8_t kBuilders = kOwners | bit(AdminRole::kDeveloper);
constexpr std::uint8_t kAll = kMoney | kBuilders | bit(AdminRole::kViewer);

/// Reach::kTenant only where every table that the method reads has its rule of a tenant in adapters/roles.cc: a sum
/// over rows of which some are hidden would be wrong without a word.
constexpr MethodRule kTable[] = {
    // BillingAdmin
    {"CreateTenant", kMoney, Reach::kHouse},
    {"ListTenants", kAll, Reach::kTenant},
    {"SuspendTenant", kMoney, Reach::kHouse},
    {"SetTenantRegions", kOwners, Reach::kHouse},
    {"SetTenantShare", kMoney, Reach::kHouse},
    {"CreateProject", kBuilders, Reach::kTenant},
    {"ListProjects", kAll, Reach::kTenant},
    {"CreateKey", kBuilders, Reach::kTenant},
    {"ListKeys", kAll, Reach::kTenant},
    {"RevokeKey", kBuilders, Reach::kTenant},
    {"RotateKey", kBuilders, Reach::kTenant},
    {"CreateAdminKey", kOwners, Reach::kTenant},
    {"ListAdminKeys", kOwners, Reach::kTenant},
    {"RevokeAdminKey", kOwners, Reach::kTenant},
    {"ListWallets", kAll, Reach::kTenant},
    {"TopUp", kMoney, Reach::kHouse},
    {"LoadPrices", kMoney, Reach::kHouse},
    {"ListPrices", kAll, Reach::kHouse},
    {"ListUsage", kAll, Reach::kTenant},
    {"SumUsage", kAll, Reach::kTenant},
    {"ListLedger", kAll, Reach::kHouse},
    {"Reconcile", kMoney, Reach::kHouse},
    // Budgets
    {"SetCap", kMoney | kBuilders, Reach::kTenant},
    {"RemoveCap", kMoney | kBuilders, Reach::kTenant},
    {"ListCaps", kAll, Reach::kTenant},
    {"ListCapPeriods", kAll, Reach::kTenant},
    {"CreateGrant", kMoney, Reach::kHouse},
    {"VoidGrant", kMoney, Reach::kHouse},
    {"ListGrants", kAll, Reach::kTenant},
    {"SetCreditLimit", kMoney, Reach::kHouse},
    {"ListAlerts", kAll, Reach::kTenant},
    {"SetWebhook", kMoney | kBuilders, Reach::kTenant},
    // Limits: the house sets them, or a tenant would lift its own
    {"SetLimit", kBuilders, Reach::kHouse},
    {"RemoveLimit", kBuilders, Reach::kHouse},
    {"ListLimits", kAll, Reach::kTenant},
    // Ledger
    {"Adjust", kMoney, Reach::kHouse},
    {"Reverse", kMoney, Reach::kHouse},
    {"Rerate", kMoney, Reach::kHouse},
    // Statements
    {"SaveIssuer", kMoney, Reach::kHouse},
    {"SaveBillingProfile", kMoney, Reach::kHouse},  // it holds the tax rate
    {"GetBillingProfile", kAll, Reach::kTenant},
    {"CloseInvoices", kMoney, Reach::kHouse},
    {"ListInvoices", kAll, Reach::kTenant},
    {"GetInvoice", kAll, Reach::kTenant},
    {"PreviewInvoice", kAll, Reach::kHouse},
    {"IssueInvoice", kMoney, Reach::kHouse},
    {"VoidInvoice", kMoney, Reach::kHouse},
    {"ReplaceInvoice", kMoney, Reach::kHouse},
    {"ListLineRequests", kAll, Reach::kHouse},
    {"GetInvoiceDocument", kAll, Reach::kTenant},
    {"ExportFocus", kAll, Reach::kHouse},
    {"LoadCosts", kMoney, Reach::kHouse},
    {"GetMargin", kMoney, Reach::kHouse},
    // Pricing
    {"WithdrawPrice", kMoney, Reach::kHouse},
    {"PreviewPrices", kMoney, Reach::kHouse},
    {"LoadAllowances", kMoney, Reach::kHouse},
    {"ListAllowances", kAll, Reach::kHouse},
    // Receipts
    {"GetReceipt", kAll, Reach::kTenant},
    {"ListReceipts", kAll, Reach::kTenant},
    {"ProveReceipt", kAll, Reach::kTenant},
    {"ListReceiptDays", kAll, Reach::kTenant},  // roots and public keys: for everybody
    {"ListReceiptKeys", kAll, Reach::kTenant},
    // AuditLog
    {"ListAudit", kMoney, Reach::kHouse},
    {"GetAuditCheckpoint", kAll, Reach::kHouse},
    {"ProveAudit", kAll, Reach::kHouse},
};

std::string names_of(std::uint8_t roles) {
  std::string out;
  for (const AdminRole role : kRoles) {
    if ((roles & bit(role)) == 0) continue;
    if (!out.empty()) out += ", ";
    out += admin_role_name(role);
  }
  return out;
}

}  // namespace

std::string_view admin_role_name(AdminRole role) {
  switch (role) {
    case AdminRole::kOperator:
      return "operator";
    case AdminRole::kOwner:
      return "owner";
    case AdminRole::kBilling:
      return "billing";
    case AdminRole::kDeveloper:
      return "developer";
    case AdminRole::kViewer:
      return "viewer";
  }
  return "";
}

std::optional<AdminRole> parse_admin_role(std::string_view name) {
  const auto found = std::ranges::find(kRoles, name, admin_role_name);
  if (found == kRoles.end()) return std::nullopt;
  return *found;
}

std::span<const MethodRule> method_rules() { return kTable; }

Status check_method(std::string_view method, AdminRole role, bool is_of_one_tenant) {
  const auto rule = std::ranges::find(kTable, method, &MethodRule::method);
  if (rule == std::end(kTable)) {
    return fail(Code::kPermissionDenied, "role_not_allowed", fmt::format("no role may call {}", method));
  }
  if ((rule->roles & bit(role)) == 0) {
    return fail(
        Code::kPermissionDenied, "role_not_allowed",
        fmt::format(
            "{} is for {}; this key is of a {}: use another, or ask an owner for one (tidegate admin-key create)",
            method, names_of(rule->roles), admin_role_name(role)),
        "authorization");
  }
  if (is_of_one_tenant && rule->reach == Reach::kHouse) {
    return fail(Code::kPermissionDenied, "tenant_not_allowed",
                fmt::format("{} concerns the whole installation; this key is of one tenant", method), "authorization");
  }
  return {};
}

Status check_delegation(const AdminKeyShape& caller, const AdminKeyShape& other, bool same_tenant) {
  if (other.role == AdminRole::kOperator && other.is_of_one_tenant) {
    return fail(Code::kInvalidArgument, "bad_role",
                "an operator runs the installation and is of no tenant: leave the tenant out, or "
                "make an owner",
                "role");
  }
  if (other.role == AdminRole::kOperator && caller.role != AdminRole::kOperator) {
    return fail(Code::kPermissionDenied, "role_not_allowed", "only operators make and revoke operators", "role");
  }
  if (caller.is_of_one_tenant && !(other.is_of_one_tenant && same_tenant)) {
    return fail(Code::kPermissionDenied, "tenant_not_allowed",
                "a key of one tenant makes and revokes keys of that tenant: name it", "tenant");
  }
  return {};
}

}  // namespace tidegate::billing
