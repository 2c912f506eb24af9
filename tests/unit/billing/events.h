#pragma once

#include "billing/core/usage_event.h"
#include "tests/support/sequential_ids.h"
#include "tests/unit/base/price/price_lists.h"

namespace tidegate::billing {

/// A finished request of `price::tide()`, off-peak: 10 hit, 20 miss, 30 output = 10x100 + 20x200 + 30x400 pico.
inline UsageEvent make_event(std::uint64_t sequence) {
  auto id = [](std::uint64_t n) { return test::SequentialIds::make(n); };
  UsageEvent event;
  event.sequence = sequence;
  event.request = RequestId{id(1000 + sequence)};
  event.tenant = TenantId{id(1)};
  event.project = ProjectId{id(2)};
  event.key = ApiKeyId{id(3)};
  event.wallet = WalletId{id(4)};
  event.lease = LeaseId{id(5)};
  event.model = "m";
  event.region = "local";
  event.pool = "cpu";
  event.band = "offpeak";
  event.instants = price::Instants::all_at(price::at("2026-11-21T08:30:00Z"));
  event.prompt_tokens = 30;
  event.cached_tokens = 10;
  event.completion_tokens = 30;
  event.reasoning_tokens = 5;
  event.price_version = 1;
  event.amount = Money::from_pico(10 * 100 + 20 * 200 + 30 * 400);
  return event;
}

}  // namespace tidegate::billing
