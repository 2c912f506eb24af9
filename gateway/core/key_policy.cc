#include "gateway/core/key_policy.h"

#include <algorithm>
#include <string>

namespace tidegate::gateway {
namespace {

constexpr const char* kField = "Authorization";

}  // namespace

Status check_use(const KeyPolicy& policy, const KeyUse& use) {
  const auto is_here = [&](const IpRange& range) { return use.client && range.contains(*use.client); };
  if (!policy.sources.empty() && std::ranges::none_of(policy.sources, is_here)) {
    const std::string client = use.client ? use.client->to_string() : "an address this gateway cannot see";
    return fail(
        Code::kPermissionDenied, "source_not_allowed",
        "This key may not be used from " + client +
            "; it is limited to certain addresses. Call from one of them, or make a key with --sources that has yours.",
        kField);
  }
  if (!policy.scopes.has(use.scope)) {
    const std::string granted = policy.scopes.names();
    return fail(Code::kPermissionDenied, "scope_not_allowed",
                "This key may not be used for " + std::string(key_scope_name(use.scope)) + "; it is for " +
                    (granted.empty() ? std::string("nothing this gateway knows") : granted) +
                    ". Use another key, or make one with --scopes that has it.",
                kField);
  }
  return {};
}

}  // namespace tidegate::gateway
