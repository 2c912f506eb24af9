#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "gateway/ports.h"

namespace tidegate::gateway::test {

/// Wallets in memory. Thread-safe.
class FakeBalances final : public Balances {
 public:
  void set(TenantId tenant, WalletId wallet, Balance balance) {
    const std::lock_guard lock(mutex_);
    balances_[{tenant, wallet}] = std::move(balance);
  }
  void fail_next(Error error) {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
  }

  awaitable<Result<Balance>> find(TenantId tenant, WalletId wallet) override { co_return look_up(tenant, wallet); }

 private:
  Result<Balance> look_up(TenantId tenant, WalletId wallet) {
    const std::lock_guard lock(mutex_);
    if (error_) return fail(*std::exchange(error_, std::nullopt));
    const auto found = balances_.find({tenant, wallet});
    if (found == balances_.end()) return fail(Code::kNotFound, "unknown_wallet", "there is no such wallet");
    return found->second;
  }

  std::mutex mutex_;
  std::map<std::pair<TenantId, WalletId>, Balance> balances_;
  std::optional<Error> error_;
};

}  // namespace tidegate::gateway::test
