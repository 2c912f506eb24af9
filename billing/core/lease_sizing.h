#pragma once

#include <cstdint>

#include "base/core/money.h"
#include "base/core/result.h"

namespace tidegate::billing {

struct LeaseRequest {
  Money available;  ///< balance + credit limit - leased
  Money want;       ///< the gateway's wish: what its recent demand needs for a while
  Money least;      ///< what the request at hand needs
  std::int64_t gateways = 1;  ///< with an open epoch, this one included
};

/// How much of a wallet a gateway gets: its wish, but at most available / 2G, so that G gateways strand at most half,
/// and in any case `least` while the wallet has it: near the end grants shrink to single requests and nothing stays
/// behind. Fails: resource_exhausted/insufficient_balance, invalid_argument/bad_amount.
Result<Money> size_lease(const LeaseRequest& request);

}  // namespace tidegate::billing
