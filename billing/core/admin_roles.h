#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/core/result.h"

/// Who may call what of the admin API. Every method of its services has one row in the table of admin_roles.cc; a
/// method without a row is refused to everybody, and a test goes through the services to find one.
namespace tidegate::billing {

enum class AdminRole : std::uint8_t {
  kOperator,   ///< runs the installation: everything, and makes operators
  kOwner,      ///< everything else
  kBilling,    ///< money: prices, wallets, grants, invoices, corrections
  kDeveloper,  ///< projects, keys, caps, limits on rates
  kViewer,     ///< looks
};
/// "operator", "owner", ...: as stored and as the command line says it.
std::string_view admin_role_name(AdminRole role);
std::optional<AdminRole> parse_admin_role(std::string_view name);

/// Whose things a call may touch.
enum class Reach : std::uint8_t {
  kHouse,   ///< of the installation, or of all tenants at once: not for keys of one tenant
  kTenant,  ///< keys of one tenant may call it; the database shows them that tenant's rows only
};

struct MethodRule {
  std::string_view method;  ///< its name in the proto; unique over the admin services
  std::uint8_t roles = 0;   ///< bit of each role that may call it
  Reach reach = Reach::kHouse;
};
/// In the order of the services.
std::span<const MethodRule> method_rules();

/// Fails: permission_denied/role_not_allowed naming the roles that may, permission_denied/tenant_not_allowed.
Status check_method(std::string_view method, AdminRole role, bool is_of_one_tenant);

struct AdminKeyShape {
  AdminRole role = AdminRole::kViewer;
  bool is_of_one_tenant = false;
};
/// Whether one key may make, or revoke, another: nobody reaches beyond the rights of the own key. `same_tenant`: the
/// other key is of the caller's own tenant. Fails: permission_denied/role_not_allowed,
/// permission_denied/tenant_not_allowed, invalid_argument/bad_role for an operator of one tenant.
Status check_delegation(const AdminKeyShape& caller, const AdminKeyShape& other, bool same_tenant);

}  // namespace tidegate::billing
