#pragma once

#include <array>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "billing/core/posting.h"

namespace tidegate::billing {

/// A stored event with the rating in force: what rating it again needs.
struct StoredUsage {
  Uuid id;
  price::Instants instants;
  price::TokenCounts tokens;
  CellKey cell;  ///< of the rating in force
  WalletId wallet;
  std::array<Money, price::kMeterCount> lines;
  Money minimum;  ///< what a minimum charge added to the lines
  std::int32_t rating_no = 1;

  Money total() const { return lines[0] + lines[1] + lines[2] + minimum; }
};

/// Which events: completed in [from, to), in the order of their ids, above `after`.
struct StoredRange {
  Wall from, to;
  std::string model;  ///< empty: every model
};
std::vector<StoredUsage> load_stored_usage(pqxx::work& tx, const StoredRange& range, const Uuid& after, std::size_t limit);

/// Rates it by `book`, as it would have been rated had the book been published. Fails: as PriceBook::rate.
Result<price::RatedRequest> rate_stored(const price::PriceBook& book, const StoredUsage& usage);

}  // namespace tidegate::billing
