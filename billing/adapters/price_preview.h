#pragma once

#include <map>
#include <pqxx/transaction>
#include <string>
#include <utility>

#include "base/price/price_file.h"
#include "billing/adapters/stored_usage.h"

/// What a price file would have earned: usage of a past period rated as if the file had been in force throughout it.
namespace tidegate::billing {

/// The published prices with the file's in their place; see preview_book(). Fails: as find_tenant and preview_book().
Result<price::PriceBook> load_preview_book(pqxx::work& tx, const price::PriceFile& file, Wall from, Wall to);

struct PreviewSum {
  std::int64_t requests = 0, dearer = 0, cheaper = 0;
  std::int64_t unpriced = 0;  ///< in neither amount
  Money before, after;
};
struct PreviewProgress {
  std::map<std::pair<std::string, std::string>, PreviewSum> lines;  ///< by model and currency
  bool is_finished = false;
  Uuid cursor;
};
/// The next kPreviewBatch events completed in [from, to). Writes nothing.
PreviewProgress preview_step(pqxx::work& tx, const price::PriceBook& book, Wall from, Wall to, PreviewProgress progress);

inline constexpr std::size_t kPreviewBatch = 5000;

}  // namespace tidegate::billing
