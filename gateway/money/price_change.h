#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/core/clock.h"
#include "base/price/price_book.h"

namespace tidegate::gateway {

/// Until when what `key` pays by `version` at `now` stays as it is: the end of the window or of the version, or the edge
/// of a modifier, whichever comes first. nullopt: nothing is known to change it. The book may change at any time.
std::optional<Wall> next_price_change(const price::PriceBook& book, const price::PriceVersion& version,
                                      const price::PriceKey& key, Wall now);

/// The same for every admission: finding the end of a window goes through its days, so it is found once a window, of the
/// newest book that was asked about. Thread-safe.
class PriceChanges {
 public:
  /// `version` is one of the book's.
  std::optional<Wall> next(const std::shared_ptr<const price::PriceBook>& book, const price::PriceVersion& version,
                           const price::PriceKey& key, Wall now);

 private:
  /// What is true from `from` until the change itself, or until it is worth another look.
  struct Known {
    Wall from;
    std::optional<Wall> change;
    bool holds_at(Wall now) const;
  };
  std::optional<Wall> end_of_window(const std::shared_ptr<const price::PriceBook>& book,
                                    const price::PriceVersion& version, Wall now);

  std::mutex mutex_;
  std::shared_ptr<const price::PriceBook> book_;      // shared: versions are known by their ids in it; guarded by mutex_
  std::unordered_map<std::int64_t, Known> known_;     // by version; guarded by mutex_
};

}  // namespace tidegate::gateway
