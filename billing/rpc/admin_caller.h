#pragma once

#include <optional>
#include <string>

#include "base/core/deadline.h"
#include "base/core/ids.h"
#include "billing/core/admin_roles.h"
#include "billing/rpc/context.h"

/// Who a bearer token of the admin services stands for: a key of people (tga_...), or a token that the identity provider
/// gave a person.
namespace tidegate::billing {

/// The person, or the machine, behind a call of an admin service.
struct AdminCaller {
  std::string actor;  ///< "admin/<public id of the key>" or "person/<sub>", as the audit log names it
  AdminRole role = AdminRole::kViewer;
  std::optional<TenantId> tenant;  ///< the only tenant this caller may see
  AdminKeyShape shape() const { return {role, tenant.has_value()}; }
};

/// What can be refused without a thread or the database: most of what is no token at all.
/// Fails: unauthenticated/missing_token, unauthenticated/bad_token.
Status check_caller_shape(const ServiceContext& context, const std::string& token);

/// Blocks: every key is looked up for each call, so that a revoked one is refused from the next call on.
/// Fails: unauthenticated/bad_token, permission_denied/no_role, no_tenant or operator_of_a_tenant,
/// failed_precondition/row_security_off, unavailable/... when who calls cannot be found out.
Result<AdminCaller> find_caller(const ServiceContext& context, const std::string& token, Deadline deadline);

}  // namespace tidegate::billing
