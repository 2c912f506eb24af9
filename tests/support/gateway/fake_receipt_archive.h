#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "gateway/ports.h"

namespace tidegate::gateway::test {

/// Receipts by tenant and request; no keys. Thread-safe.
class FakeReceiptArchive final : public ReceiptArchive {
 public:
  void add(TenantId tenant, const std::string& request_id, const std::string& receipt) {
    const std::lock_guard lock(mutex_);
    receipts_[std::pair(tenant, request_id)] = receipt;
  }

  awaitable<Result<std::string>> find(TenantId tenant, std::string request_id) override {
    const std::lock_guard lock(mutex_);
    const auto found = receipts_.find(std::pair(tenant, request_id));
    if (found == receipts_.end()) co_return fail(Code::kNotFound, "unknown_request", "There is no such request.");
    co_return found->second;
  }
  awaitable<Result<std::vector<Key>>> keys() override { co_return std::vector<Key>(); }

 private:
  std::mutex mutex_;
  std::map<std::pair<TenantId, std::string>, std::string> receipts_;
};

}  // namespace tidegate::gateway::test
