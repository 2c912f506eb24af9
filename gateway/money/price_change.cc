#include "gateway/money/price_change.h"

namespace tidegate::gateway {
namespace {

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
  auto change = book.next_change(version, now);
  const auto modified = next_modifier(book, key, now);
  if (modified && (!change || *modified < *change)) change = modified;
  return change;
}

}  // namespace tidegate::gateway
