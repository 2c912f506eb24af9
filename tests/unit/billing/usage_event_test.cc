#include "billing/core/usage_event.h"

#include <gtest/gtest.h>

#include "tests/unit/billing/events.h"

namespace tidegate::billing {
namespace {

price::PriceBook book() { return price::PriceBook::build({price::tide()}, {}).value(); }

std::string refused_field(const UsageEvent& event) {
  const auto status = check_event(event, 7);
  if (status) return "accepted";
  EXPECT_EQ(status.error().reason, "bad_event");
  return status.error().field;
}

TEST(UsageEvent, ASoundEventPassesAndRatesAsTheGatewayDid) {
  EXPECT_TRUE(check_event(make_event(1), 0));
  const auto rated = rate_event(book(), make_event(1), "USD", 0);
  ASSERT_TRUE(rated) << rated.error().to_string();
  EXPECT_EQ(rated->total.pico(), 17'000);
}

TEST(UsageEvent, EveryBrokenMemberIsNamed) {
  UsageEvent event = make_event(1);
  event.sequence = 0;
  EXPECT_EQ(refused_field(event), "events[7].sequence");
  event = make_event(1);
  event.request = {};
  EXPECT_EQ(refused_field(event), "events[7].request_id");
  event = make_event(1);
  event.cached_tokens = 31;
  EXPECT_EQ(refused_field(event), "events[7].cached_tokens");
  event = make_event(1);
  event.prompt_tokens = kTokensMax + 1;
  EXPECT_EQ(refused_field(event), "events[7].prompt_tokens");
  event = make_event(1);
  event.instants.admitted += std::chrono::microseconds(1);
  EXPECT_EQ(refused_field(event), "events[7].completed_us");
  event = make_event(1);
  event.amount = -event.amount;
  EXPECT_EQ(refused_field(event), "events[7].amount");
  event = make_event(1);
  event.lease = {};
  EXPECT_EQ(refused_field(event), "events[7].lease_id");
  event.amount = Money();
  EXPECT_EQ(refused_field(event), "accepted");
  event = make_event(1);
  event.variant = "\xff";
  EXPECT_EQ(refused_field(event), "events[7].variant");
  event.variant = std::string(257, 'x');
  EXPECT_EQ(refused_field(event), "events[7].variant");
}

TEST(UsageEvent, APriceForSomethingElseIsAMismatch) {
  for (auto spoil : {+[](UsageEvent& e) { e.model = "n"; }, +[](UsageEvent& e) { e.price_version = 2; }}) {
    UsageEvent event = make_event(1);
    spoil(event);
    EXPECT_FALSE(rate_event(book(), event, "USD", 0));
  }
  EXPECT_EQ(rate_event(book(), make_event(1), "CNY", 0).error().reason, "price_mismatch");
  auto elsewhere = price::tide();
  elsewhere.pool = "h200";
  EXPECT_EQ(rate_event(price::PriceBook::build({elsewhere}, {}).value(), make_event(1), "USD", 0).error().reason, "price_mismatch");
}

TEST(UsageEvent, OnePicoOrAnotherBandDiffers) {
  UsageEvent event = make_event(1);
  event.amount += Money::from_pico(1);
  EXPECT_EQ(rate_event(book(), event, "USD", 3).error().field, "events[3].amount");
  event = make_event(1);
  event.band = "peak";
  EXPECT_EQ(rate_event(book(), event, "USD", 0).error().reason, "rating_differs");
}

TEST(UsageEvent, StatusNamesRoundTrip) {
  for (const auto status : {UsageStatus::kCompleted, UsageStatus::kCancelled, UsageStatus::kInterrupted, UsageStatus::kFailed}) {
    EXPECT_EQ(parse_usage_status(usage_status_name(status)), status);
  }
}

}  // namespace
}  // namespace tidegate::billing
