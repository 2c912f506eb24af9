#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/core/lease_node.h"
#include "gateway/ports.h"
#include "tidegate/v1/billing.pb.h"

namespace tidegate::gateway {

/// Every cap by id, as billing told them.
using CapRules = std::map<std::string, v1::CapRule>;

/// Which caps bind a request. Immutable; a change makes a new one. Lookups are four hash probes.
class CapTable {
 public:
  CapTable() = default;
  /// Rules that cannot be read are left out; `bad` counts them.
  explicit CapTable(const CapRules& rules, std::size_t* bad = nullptr);

  /// Whether end users of the tenant are told apart at all.
  bool counts_users(const TenantId& tenant) const;
  /// Adds the caps of tenant, project, key and end user (nil: none was named). A cap of the end user's own stands for
  /// the one of every end user with the same period. Distinct.
  void find(const Principal& principal, const Uuid& end_user, std::vector<NodeId>& out) const;
  std::size_t size() const { return size_; }

 private:
  struct Rule {
    Uuid cap;
    v1::CapPeriod period;
  };
  struct OfTenant {
    std::vector<Rule> whole, every_user;
    std::unordered_map<Uuid, std::vector<Rule>> projects, keys, users;
  };
  std::unordered_map<TenantId, OfTenant> tenants_;
  std::size_t size_ = 0;
};

}  // namespace tidegate::gateway
