#include "worker/engine/fair_share.h"

#include <algorithm>
#include <optional>

namespace tidegate::worker {

FairShare::Tenant& FairShare::wait(const CacheSalt& tenant) {
  Tenant& own = tenants_[tenant];
  if (own.waiting == 0) own.served = std::max(own.served, least_waiting());
  ++own.waiting;
  forget_idle();
  return own;
}

void FairShare::enter(Tenant& tenant, std::int64_t input) {
  tenant.served += kInputWeight * input;
  ++tenant.inside;
  stop_waiting(tenant);
}

void FairShare::give_up(Tenant& tenant) {
  stop_waiting(tenant);
  forget_idle();
}

void FairShare::leave(Tenant& tenant) {
  --tenant.inside;
  forget_idle();
}

std::int64_t FairShare::least_waiting() const {
  std::optional<std::int64_t> least;
  for (const auto& [salt, tenant] : tenants_) {
    if (tenant.waiting > 0) least = std::min(least.value_or(tenant.served), tenant.served);
  }
  return least.value_or(last_waiting_);
}

void FairShare::stop_waiting(Tenant& tenant) {
  if (--tenant.waiting == 0) last_waiting_ = tenant.served;
}

void FairShare::forget_idle() {
  while (tenants_.size() > kTenantsMax) {
    auto least = tenants_.end();
    for (auto it = tenants_.begin(); it != tenants_.end(); ++it) {
      if (it->second.waiting > 0 || it->second.inside > 0) continue;
      if (least == tenants_.end() || it->second.served < least->second.served) least = it;
    }
    if (least == tenants_.end()) return;
    tenants_.erase(least);
  }
}

}  // namespace tidegate::worker
