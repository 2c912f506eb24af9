#pragma once

#include <chrono>
#include <string>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/log.h"
#include "base/core/random.h"
#include "base/pg/pool.h"
#include "billing/adapters/price_store.h"
#include "billing/core/key_rules.h"
#include "billing/metrics.h"

namespace tidegate::billing {

class PersonCheck;

/// What the services work with. Everything outlives them.
struct ServiceContext {
  pg::Pool& pool;
  const Clock& clock;
  IdSource& ids;
  EntropySource& entropy;
  Log& log;
  BillingMetrics& metrics;
  PriceCache& prices;
  std::string pepper;
  std::string tzdata;  ///< version of the zone data, e.g. "2025b"
  std::chrono::milliseconds price_lead{};
  std::chrono::milliseconds lease_ttl{};
  std::string admin_key;  ///< the installation's own, of its operator
  /// Whether the database shows a session of one tenant that tenant's rows only: not for the owner of its tables.
  bool has_row_security = false;
  KeyLimits keys = {};
  PersonCheck* people = nullptr;  ///< null: no identity provider is set up, only keys are callers
};

}  // namespace tidegate::billing
