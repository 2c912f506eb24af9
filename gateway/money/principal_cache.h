#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "base/core/clock.h"
#include "base/crypto/api_key.h"
#include "base/crypto/sha256.h"
#include "gateway/money/snapshot.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// A key as billing described it.
struct KeyRecord {
  std::shared_ptr<const Principal> principal;  ///< shared with the requests that authenticated as it
  std::string mac;                             ///< HMAC-SHA256(pepper, key text)
  Wall expires = Wall::max();
  bool is_suspended = false;
};

/// All keys by public id.
using KeyTable = std::unordered_map<std::string, KeyRecord>;

/// Answers from the last table, forever (S3: fail static); a revoked key is gone when the watch stream says so, well
/// within five seconds. Time taken does not tell an unknown id from a wrong secret.
class PrincipalCache final : public Principals {
 public:
  /// `clock` outlives the cache. `pepper` is the secret that billing made the MACs with.
  PrincipalCache(std::string_view pepper, const Clock& clock);

  Result<std::shared_ptr<const Principal>> authenticate(std::string_view key_text, const KeyUse& use) const override;

  /// Any thread.
  void replace(std::shared_ptr<const KeyTable> table);
  /// Never null; empty before the first snapshot.
  std::shared_ptr<const KeyTable> table() const { return table_.get(); }
  bool is_loaded() const { return is_loaded_.load(std::memory_order_acquire); }

 private:
  HmacKey pepper_;
  const Clock& clock_;
  Snapshot<KeyTable> table_;
  std::atomic<bool> is_loaded_ = false;
};

}  // namespace tidegate::gateway
