#pragma once

#include <cstddef>
#include <set>
#include <unordered_map>

#include "base/core/clock.h"
#include "base/core/ids.h"

namespace tidegate::gateway {

/// Who was told to come back, and when: so that a return is known by what we said and not by what a client says of itself.
/// A promise is kept once, by the next request of its tenant when it is due: a tenant has as many returns as it was
/// promised, whichever of its requests they are. Pure; one thread.
class PromiseBook {
 public:
  /// A client that waits exactly as it was told comes a round trip after; one that comes later than this is a newcomer.
  static constexpr Duration kKept = std::chrono::seconds(10);
  /// Beyond these nothing is remembered: who was refused then comes as a newcomer.
  static constexpr std::size_t kOfTenantMax = 1'024;
  static constexpr std::size_t kPromisesMax = 16'384;

  void add(const Uuid& tenant, Mono due, Mono now);
  /// True: this is one who was told to come about now, and the promise is kept.
  bool take(const Uuid& tenant, Mono now);
  std::size_t size() const { return size_; }

 private:
  using Dues = std::multiset<Mono>;

  void drop_lapsed(Dues& dues, Mono now);
  void drop_all_lapsed(Mono now);

  std::unordered_map<Uuid, Dues> dues_;  ///< of tenants that have some
  std::size_t size_ = 0;
};

}  // namespace tidegate::gateway
