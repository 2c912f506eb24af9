#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gateway/ports.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway::test {

/// Keys by their text. Thread-safe.
class FakePrincipals final : public Principals {
 public:
  /// Adds a key of a tenant of its own; an empty allow-list means every model.
  std::shared_ptr<const Principal> add(const std::string& key_text, std::vector<std::string> models = {},
                                       KeyPolicy policy = {}, std::vector<std::string> regions = {}) {
    auto principal = std::make_shared<Principal>();
    const std::lock_guard lock(mutex_);
    principal->key = ApiKeyId{tidegate::test::SequentialIds::make(++minted_)};
    principal->tenant = TenantId{tidegate::test::SequentialIds::make(++minted_)};
    principal->project = ProjectId{tidegate::test::SequentialIds::make(++minted_)};
    principal->wallet = WalletId{tidegate::test::SequentialIds::make(++minted_)};
    principal->public_id = "pub" + std::to_string(minted_);
    principal->currency = "USD";
    principal->models = std::move(models);
    principal->policy = std::move(policy);
    principal->regions = std::move(regions);
    keys_[key_text] = principal;
    return principal;
  }
  /// What the key's tenant is worth in the queues from now on.
  void share(const std::string& key_text, std::int64_t weight, ServiceTier tier_max) {
    const std::lock_guard lock(mutex_);
    auto principal = std::make_shared<Principal>(*keys_.at(key_text));
    principal->weight = weight;
    principal->tier_max = tier_max;
    keys_[key_text] = std::move(principal);
  }
  void revoke(const std::string& key_text) {
    const std::lock_guard lock(mutex_);
    keys_.erase(key_text);
  }
  void fail_all_with(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
  }

  Result<std::shared_ptr<const Principal>> authenticate(std::string_view key_text, const KeyUse& use) const override {
    const std::lock_guard lock(mutex_);
    if (error_) return fail(*error_);
    const auto found = keys_.find(key_text);
    if (found == keys_.end()) return fail(Code::kUnauthenticated, "invalid_api_key", "The API key is not valid.");
    TG_TRY(check_use(found->second->policy, use));
    return found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Principal>, std::less<>> keys_;
  std::optional<Error> error_;
  std::uint64_t minted_ = 0x1000;
};

}  // namespace tidegate::gateway::test
