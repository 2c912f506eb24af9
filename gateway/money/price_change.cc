#include "gateway/money/price_change.h"

#include <chrono>

namespace tidegate::gateway {
namespace {

/// A book looks 400 days ahead: what it does not see today it may see tomorrow.
constexpr std::chrono::hours kLookAgain{24};

std::optional<Wall> sooner(std::optional<Wall> one, std::optional<Wall> other) {
  if (!one || (other && *other < *one)) return other;
  return one;
}

/// The next instant at which a modifier for this tenant and model begins or ends.
std::optional<Wall> next_modifier(const price::PriceBook& book, const price::PriceKey& key, Wall now) {
  std::optional<Wall> next;
  for (const price::Modifier& modifier : book.modifiers()) {
    if (!modifier.is_for(key.tenant, key.model)) continue;
    for (const Wall edge : {modifier.effective_from, modifier.effective_to.value_or(Wall::min())}) {
      if (edge > now && (!next || edge < *next)) next = edge;
    }
  }
  return next;
}

}  // namespace

std::optional<Wall> next_price_change(const price::PriceBook& book, const price::PriceVersion& version,
                                      const price::PriceKey& key, Wall now) {
  return sooner(book.next_change(version, now), next_modifier(book, key, now));
}

std::optional<Wall> PriceChanges::next(const std::shared_ptr<const price::PriceBook>& book,
                                       const price::PriceVersion& version, const price::PriceKey& key, Wall now) {
  return sooner(end_of_window(book, version, now), next_modifier(*book, key, now));
}

bool PriceChanges::Known::holds_at(Wall now) const {
  return now >= from && now < from + kLookAgain && (!change || now < *change);
}

std::optional<Wall> PriceChanges::end_of_window(const std::shared_ptr<const price::PriceBook>& book,
                                                const price::PriceVersion& version, Wall now) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(version.id);
    if (book_ == book && found != known_.end() && found->second.holds_at(now)) return found->second.change;
  }
  const Known fresh{now, book->next_change(version, now)};
  const std::lock_guard lock(mutex_);
  if (book_ != book) {
    book_ = book;
    known_.clear();
  }
  known_.insert_or_assign(version.id, fresh);
  return fresh.change;
}

}  // namespace tidegate::gateway
