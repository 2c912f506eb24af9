#pragma once

#include <cstddef>
#include <string_view>
#include <unordered_map>

#include "base/core/ids.h"
#include "base/crypto/sha256.h"

namespace tidegate::gateway {

/// The cache salt of each tenant: an HMAC under the installation's secret, computed once for those that keep asking.
/// One thread.
class TenantSalts {
 public:
  explicit TenantSalts(std::string_view secret) : key_(secret) {}

  const Digest& of(const TenantId& tenant) {
    if (const auto found = known_.find(tenant); found != known_.end()) return found->second;
    // Beginning anew is rare and costs a microsecond for each that comes back.
    if (known_.size() >= kKnownMax) known_.clear();
    return known_.emplace(tenant, key_.of(tenant.raw())).first->second;
  }

 private:
  static constexpr std::size_t kKnownMax = 4'096;

  const HmacKey key_;
  std::unordered_map<TenantId, Digest> known_;
};

}  // namespace tidegate::gateway
