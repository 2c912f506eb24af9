#include "gateway/core/promise_book.h"

namespace tidegate::gateway {

void PromiseBook::add(const Uuid& tenant, Mono due, Mono now) {
  if (size_ >= kPromisesMax) drop_all_lapsed(now);
  if (size_ >= kPromisesMax) return;
  Dues& dues = dues_[tenant];
  drop_lapsed(dues, now);
  if (dues.size() >= kOfTenantMax) return;
  dues.insert(due);
  ++size_;
}

bool PromiseBook::take(const Uuid& tenant, Mono now) {
  const auto found = dues_.find(tenant);
  if (found == dues_.end()) return false;
  Dues& dues = found->second;
  drop_lapsed(dues, now);
  const bool is_due = !dues.empty() && *dues.begin() <= now;
  if (is_due) {
    dues.erase(dues.begin());
    --size_;
  }
  if (dues.empty()) dues_.erase(found);
  return is_due;
}

void PromiseBook::drop_lapsed(Dues& dues, Mono now) {
  while (!dues.empty() && now - *dues.begin() > kKept) {
    dues.erase(dues.begin());
    --size_;
  }
}

void PromiseBook::drop_all_lapsed(Mono now) {
  for (auto& [tenant, dues] : dues_) drop_lapsed(dues, now);
  std::erase_if(dues_, [](const auto& entry) { return entry.second.empty(); });
}

}  // namespace tidegate::gateway
