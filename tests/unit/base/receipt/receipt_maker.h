#pragma once

#include <string>

#include "base/receipt/receipt.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::receipt::test {

inline Ed25519Key make_key(std::uint64_t seed) {
  tidegate::test::SeededEntropy entropy{seed};
  return Ed25519Key::mint(entropy);
}

/// A request of 10 cached, 90 other prompt tokens and `output` completion tokens, at 0.1, 1 and 2 a million.
inline Receipt make_receipt(std::uint64_t sequence, const Digest& previous = {}, std::int64_t output = 50) {
  using tidegate::test::SequentialIds;
  Receipt r;
  r.sequence = sequence;
  r.previous = previous;
  r.gateway_id = "gateway-1";
  r.epoch = 7;
  r.deployment = "tide-test";
  r.request = RequestId{SequentialIds::make(1'000 + sequence)};
  r.tenant = TenantId{SequentialIds::make(1)};
  r.project = ProjectId{SequentialIds::make(2)};
  r.caller = "4fQ81kLm";
  r.model = "deepseek-r1";
  r.variant = "fp8";
  r.weights_digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  r.region = "cn-north";
  r.pool = "h800";
  r.finish_reason = "stop";
  r.prompt_tokens = 100;
  r.cached_tokens = 10;
  r.completion_tokens = output;
  r.reasoning_tokens = output / 2;
  r.admitted_us = 1'790'000'000'000'000 + static_cast<std::int64_t>(sequence);
  r.started_us = r.admitted_us + 1'000;
  r.completed_us = r.started_us + 2'000'000;
  r.priced_us = r.completed_us;
  r.price_book = "ds-r1-tou";
  r.price_version = 3;
  r.band = "off-peak";
  r.currency = "USD";
  const auto line = [](const char* meter, std::int64_t quantity, std::int64_t micro) {
    const Rate rate = Rate::from_micro_per_million(micro);
    return Line{meter, quantity, rate, "", rate.amount(quantity)};
  };
  r.lines = {line("input_cache_hit", 10, 100'000), line("input_cache_miss", 90, 1'000'000),
             line("output", output, 2'000'000)};
  for (const Line& each : r.lines) r.amount += each.amount;
  return r;
}

inline SignedReceipt make_signed(const Receipt& receipt, const Ed25519Key& key) {
  return *decode_signed(sign_body(encode_body(receipt), key));
}

}  // namespace tidegate::receipt::test
