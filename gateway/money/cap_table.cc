#include "gateway/money/cap_table.h"

#include <algorithm>

namespace tidegate::gateway {

CapTable::CapTable(const CapRules& rules, std::size_t* bad) {
  for (const auto& [raw, wire] : rules) {
    const auto cap = Uuid::from_bytes(wire.cap_id());
    const auto tenant = TenantId::from_bytes(wire.tenant_id());
    const auto subject = Uuid::from_bytes(wire.subject());
    if (!cap || !tenant || !subject || wire.scope() == v1::CAP_SCOPE_UNSPECIFIED) {
      if (bad != nullptr) ++*bad;
      continue;
    }
    OfTenant& mine = tenants_[*tenant];
    const Rule rule{*cap, wire.period()};
    ++size_;
    switch (wire.scope()) {
      case v1::CAP_SCOPE_PROJECT: mine.projects[*subject].push_back(rule); break;
      case v1::CAP_SCOPE_KEY: mine.keys[*subject].push_back(rule); break;
      case v1::CAP_SCOPE_USER: (subject->is_nil() ? mine.every_user : mine.users[*subject]).push_back(rule); break;
      default: mine.whole.push_back(rule); break;
    }
  }
}

bool CapTable::counts_users(const TenantId& tenant) const {
  const auto found = tenants_.find(tenant);
  return found != tenants_.end() && !(found->second.every_user.empty() && found->second.users.empty());
}

void CapTable::find(const Principal& principal, const Uuid& end_user, std::vector<NodeId>& out) const {
  const auto found = tenants_.find(principal.tenant);
  if (found == tenants_.end()) return;
  const OfTenant& mine = found->second;
  const auto add = [&](const std::vector<Rule>& rules) {
    for (const Rule& rule : rules) out.push_back({.id = rule.cap, .end_user = {}});
  };
  const auto add_of = [&](const std::unordered_map<Uuid, std::vector<Rule>>& of, const Uuid& subject) {
    if (const auto rules = of.find(subject); rules != of.end()) add(rules->second);
  };
  add(mine.whole);
  add_of(mine.projects, principal.project.uuid);
  add_of(mine.keys, principal.key.uuid);
  if (end_user.is_nil()) return;
  add_of(mine.users, end_user);
  const auto own = mine.users.find(end_user);
  for (const Rule& rule : mine.every_user) {
    const bool has_own = own != mine.users.end() && std::ranges::any_of(own->second, [&](const Rule& one) {
                           return one.period == rule.period;
                         });
    if (!has_own) out.push_back({.id = rule.cap, .end_user = end_user});
  }
}

}  // namespace tidegate::gateway
