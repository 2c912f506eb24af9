#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "base/net/suspend.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

struct BalanceCacheOptions {
  Duration keep = std::chrono::seconds(1);  ///< how old a balance may be told; zero: what is under way is shared, no more
  std::int64_t lookups_per_second = 50;     ///< of all wallets together, and at once after a silence
};

/// Balances, asked of billing once for many who ask here: every look-up is a query of its database. One look-up a wallet
/// at a time, shared by all who wait for it; beyond the rate, and where too many wait, one of up to kStaleMax is told
/// with its age, or the caller refused. Thread-safe.
class BalanceCache final : public Balances {
 public:
  static constexpr Duration kStaleMax = std::chrono::seconds(60);
  static constexpr std::size_t kWalletsMax = 16'384;
  static constexpr std::size_t kWaitersMax = 64;  ///< for one look-up

  /// `behind` and `clock` outlive it.
  BalanceCache(Balances& behind, const BalanceCacheOptions& options, const Clock& clock);

  /// Fails also: resource_exhausted/rate_limit_exceeded. Errors are not kept.
  awaitable<Result<Balance>> find(TenantId tenant, WalletId wallet) override;

 private:
  using Key = std::pair<TenantId, WalletId>;
  using Answer = Result<Balance>;
  using Done = Resume<Answer>;
  struct Entry {
    std::optional<Balance> balance;
    Mono at{};                  ///< of `balance`
    std::optional<Error> error; ///< of the last look-up
    bool is_looking = false;
    std::vector<Done> waiting;  ///< while it is looking
  };
  enum class Turn : std::uint8_t { kAnswered, kLook, kWait };
  struct Ask {
    Turn turn = Turn::kAnswered;
    std::optional<Answer> answer;  ///< of kAnswered
  };
  /// One look-up: whatever becomes of its coroutine, those who wait hear of it.
  class Look;

  Ask begin(const Key& key);
  void wait(const Key& key, Done done);
  void settle(const Key& key, const Answer& answer);
  /// Where nobody can be asked: the last one, if it is no older than kStaleMax.
  static Answer told(const Entry* entry, Mono now);
  bool take_turn(Mono now);
  void make_room(Mono now);

  Balances& behind_;
  const BalanceCacheOptions options_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<Key, Entry> entries_;
  const Duration apart_;  ///< of look-ups, when they come without end
  Mono paid_until_;       ///< at most a second ahead (GCRA: one instant is the whole token bucket)
};

}  // namespace tidegate::gateway
