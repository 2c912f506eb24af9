#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "worker/engine/cache_salt.h"

namespace tidegate::worker {

/// How much each tenant was served: virtual token counters (Sheng et al., "Fairness in Serving Large Language
/// Models", arXiv 2401.00588). Whoever waits and was served least is next. A tenant of whom nobody waited begins at
/// the least counter of those who wait, so that idling earns no credit: two tenants who both always have somebody
/// waiting are served alike up to 2 max(kInputWeight input, kOutputWeight batch) for the longest input and the tokens
/// that fit a batch.
///
/// Tenants with a sequence in the schedule are known; of the others so many that it is kTenantsMax in all, those served
/// most. One who is forgotten begins as a new one does.
class FairShare {
 public:
  static constexpr std::size_t kTenantsMax = 256;
  static constexpr std::int64_t kInputWeight = 1;   ///< of a prompt token that no cache had
  static constexpr std::int64_t kOutputWeight = 2;  ///< of a sampled token

  struct Tenant {
    std::int64_t served = 0;   ///< weighted tokens
    std::int32_t waiting = 0;  ///< sequences that were never in the batch
    std::int32_t inside = 0;   ///< sequences in the batch, or thrown out of it
  };

  /// One more sequence of `tenant` waits. The reference holds while a sequence of it waits or is inside.
  Tenant& wait(const CacheSalt& tenant);
  /// One that waited enters the batch, and has `input` tokens to be computed.
  void enter(Tenant& tenant, std::int64_t input);
  static void charge_output(Tenant& tenant, std::int64_t tokens) { tenant.served += kOutputWeight * tokens; }
  /// One that waited is gone.
  void give_up(Tenant& tenant);
  /// One that was inside is gone.
  void leave(Tenant& tenant);

  std::size_t tenants() const { return tenants_.size(); }

 private:
  std::int64_t least_waiting() const;
  void stop_waiting(Tenant& tenant);
  void forget_idle();

  std::map<CacheSalt, Tenant> tenants_;
  std::int64_t last_waiting_ = 0;  ///< the counter of whoever was the last to have nobody waiting any more
};

}  // namespace tidegate::worker
