#pragma once

#include <optional>
#include <vector>

#include "base/core/ip_range.h"
#include "base/core/key_scope.h"
#include "base/core/result.h"

namespace tidegate::gateway {

/// What limits the use of a key beside its models.
struct KeyPolicy {
  KeyScopes scopes = KeyScopes::inference();
  std::vector<IpRange> sources;  ///< where it may be used from; empty = anywhere
};

/// One use of a key.
struct KeyUse {
  KeyScope scope = KeyScope::kChat;
  std::optional<IpAddress> client;  ///< nullopt: not known, which a key limited to sources does not accept
};

/// Fails: permission_denied/source_not_allowed, permission_denied/scope_not_allowed; each says what to do. The ranges
/// themselves are not told: whoever found a key elsewhere learns nothing.
Status check_use(const KeyPolicy& policy, const KeyUse& use);

}  // namespace tidegate::gateway
