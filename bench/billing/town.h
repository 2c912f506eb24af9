#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/price/price_book.h"
#include "billing/adapters/usage_store.h"

/// Customers, gateways and their traffic for the billing benchmark.
namespace tidegate::bench {

struct TownOptions {
  int tenants = 100;  ///< each with a project, a wallet and `keys` keys
  int keys = 2;
  int gateways = 4;  ///< each with an open epoch and a lease of every wallet
  std::chrono::microseconds gap{25};  ///< from one event of a gateway to its next
};

/// Ids that follow from what they name, so that rows can be written by SQL and events made without asking.
Uuid town_id(int kind, int number);
std::string gateway_name(int number);

/// Writes tenants, keys, prices, gateways and leases into a migrated database.
void build_town(const std::string& dsn, const TownOptions& options);

/// The traffic of one gateway: batches that follow each other without gap, events rated as the gateway would. UUIDv7
/// ids and completions begin at `start` and are `gap` apart.
class Traffic {
 public:
  Traffic(const TownOptions& options, int gateway, Wall start);
  billing::UsageBatch next(std::size_t events);

 private:
  std::uint64_t random();

  const TownOptions options_;
  const int gateway_;
  const Wall start_;
  std::uint64_t sequence_ = 0;
  std::uint64_t state_;
};

}  // namespace tidegate::bench
