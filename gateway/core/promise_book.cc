#include "gateway/core/promise_book.h"

#include "base/core/check.h"

namespace tidegate::gateway {

void PromiseBook::add(const Uuid& tenant, Mono due, Mono now) {
  drop_lapsed(now);
  if (all_.size() >= kPromisesMax) return;
  Dues& dues = dues_[tenant];
  if (dues.size() >= kOfTenantMax) return;
  dues.insert(due);
  all_.emplace(due, tenant);
}

bool PromiseBook::take(const Uuid& tenant, Mono now) {
  drop_lapsed(now);
  const auto found = dues_.find(tenant);
  if (found == dues_.end()) return false;
  const Mono earliest = *found->second.begin();
  if (earliest > now) return false;
  const auto place = all_.find({earliest, tenant});
  TG_CHECK(place != all_.end());
  all_.erase(place);
  forget_earliest(found);
  return true;
}

void PromiseBook::drop_lapsed(Mono now) {
  while (!all_.empty() && now - all_.begin()->first > kKept) {
    const auto found = dues_.find(all_.begin()->second);
    TG_CHECK(found != dues_.end());
    all_.erase(all_.begin());
    forget_earliest(found);
  }
}

void PromiseBook::forget_earliest(std::unordered_map<Uuid, Dues>::iterator found) {
  Dues& dues = found->second;
  dues.erase(dues.begin());
  if (dues.empty()) dues_.erase(found);
}

}  // namespace tidegate::gateway
