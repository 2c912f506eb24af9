#include "scheduler/adapters/billing_callers.h"

#include <chrono>
#include <optional>

namespace tidegate::scheduler {

namespace {

using Method = class v1::People::Stub::async;

/// A person waits in front of it.
constexpr auto kAskMax = std::chrono::seconds(5);

std::optional<CallerRole> read_role(v1::AdminRole role) {
  switch (role) {
    case v1::ADMIN_ROLE_OPERATOR: return CallerRole::kOperator;
    case v1::ADMIN_ROLE_OWNER: return CallerRole::kOwner;
    case v1::ADMIN_ROLE_BILLING: return CallerRole::kBilling;
    case v1::ADMIN_ROLE_DEVELOPER: return CallerRole::kDeveloper;
    case v1::ADMIN_ROLE_VIEWER: return CallerRole::kViewer;
    default: return std::nullopt;
  }
}

}  // namespace

Result<FleetCaller> BillingCallers::who_is(const std::string& token, Deadline deadline) {
  v1::WhoIsRequest request;
  request.set_token(token);
  const Deadline limit = deadline.earlier(Deadline::after(clock_.mono(), kAskMax));
  auto person = people_.call_blocking(&Method::WhoIs, std::move(request), limit);
  if (!person) {
    const Error& error = person.error();
    if (error.code == Code::kUnauthenticated || error.code == Code::kPermissionDenied) return fail(error);
    return fail(Code::kUnavailable, "callers_unknown",
                "billing does not say who calls, so nobody is let in but the operator's key of "
                "secrets.admin_key_file: " + error.message);
  }
  const auto role = read_role(person->role());
  if (!role || person->actor().empty()) {
    return fail(Code::kPermissionDenied, "role_not_allowed", "billing names a role that this scheduler does not know");
  }
  return FleetCaller{person->actor(), *role, !person->tenant_id().empty()};
}

}  // namespace tidegate::scheduler
