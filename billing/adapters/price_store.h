#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "base/price/price_book.h"
#include "base/price/price_file.h"
#include "billing/core/allowance_plan.h"
#include "billing/core/price_publication.h"

namespace tidegate::billing {

/// Everything published, at one revision. Revisions grow with every publication.
struct PublishedPrices {
  std::int64_t revision = 0;
  price::PriceBook book;
  std::vector<AllowancePlan> allowances;
};

Result<PublishedPrices> load_prices(pqxx::work& tx);

/// Publishes a file whole or not at all; see plan_publication() for what that means. Fails
/// besides: as find_tenant.
Result<PricePlan> publish_prices(pqxx::work& tx, const price::PriceFile& file, Wall now, Duration lead);

/// A file's content with tenants resolved to their ids. Fails: as find_tenant.
Result<PriceDraft> read_draft(pqxx::work& tx, const price::PriceFile& file);

/// Take back what has not begun; see plan_withdrawal().
Result<WithdrawalPlan> withdraw_price(pqxx::work& tx, std::int64_t version, Wall now, Duration lead);
Result<price::Modifier> withdraw_modifier(pqxx::work& tx, std::int64_t modifier, Wall now, Duration lead);

/// One row and its parts, unchecked: publish_prices() checks, and tests fill the tables. Returns the id given.
std::int64_t insert_price_version(pqxx::work& tx, const price::PriceVersion& version);
std::int64_t insert_modifier(pqxx::work& tx, const price::Modifier& modifier);
void insert_calendar(pqxx::work& tx, const price::Calendar& calendar);

/// SHA-256 of canonical_text(), as stored.
std::string price_sha256(const price::PriceVersion& version);

/// What the latest revision this process has seen says, reloaded when a transaction knows of a later one.
/// Thread-safe.
class PriceCache {
 public:
  Result<std::shared_ptr<const PublishedPrices>> at_revision(pqxx::work& tx, std::int64_t revision);

 private:
  std::mutex mutex_;
  std::shared_ptr<const PublishedPrices> latest_;
};

}  // namespace tidegate::billing
