#pragma once

#include <cstddef>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/core/clock.h"
#include "base/core/ids.h"

namespace tidegate::gateway {

/// Who was told to come back, and when: so that a return is known by what we said and not by what a client says of itself.
/// A promise is kept once, by the next request of its tenant when it is due: a tenant has as many returns as it was
/// promised, whichever of its requests they are. A promise is looked at when it is made and when it is kept or lapses,
/// and costs the logarithm of the book's size each time: it is full just when many are refused. Pure; one thread.
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
  std::size_t size() const { return all_.size(); }

 private:
  using Dues = std::multiset<Mono>;

  void drop_lapsed(Mono now);
  /// Of one tenant; its place in all_ is gone already.
  void forget_earliest(std::unordered_map<Uuid, Dues>::iterator found);

  std::unordered_map<Uuid, Dues> dues_;       ///< of tenants that have some
  std::multiset<std::pair<Mono, Uuid>> all_;  ///< the same, whoever's, in the order in which they lapse
};

}  // namespace tidegate::gateway
