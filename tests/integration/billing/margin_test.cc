#include "tests/integration/billing/late_house.h"

namespace tidegate::billing {
namespace {

/// R1's list price in February 2025, and what its nodes cost.
constexpr const char* kR1 =
    R"({"price_books": [{"id": "r1", "models": ["deepseek-r1"], "effective_from": "2020-01-01T00:00:00Z", "schedules": [
    {"name": "standard", "default": true, "rates": {"USD": {"input_cache_hit": "0.14", "input_cache_miss": "0.55", "output": "2.19"}}}]}]})";

class MarginReport : public LateHouse {
 protected:
  /// The hour that an event of now ends in.
  std::int64_t hour_us() { return unix_micros(std::chrono::floor<std::chrono::hours>(clock_.wall())); }
  static std::string instant(std::int64_t us) { return format_rfc3339(wall_from_unix_micros(us)); }
  std::string cost_file(std::int64_t from_us, const std::string& accelerators, const std::string& model) {
    return R"({"rates": [{"region": "local", "pool": "cpu", "currency": "USD", "per_accelerator_hour": "2", "effective_from": "2020-01-01T00:00:00Z"}],
               "use": [{"region": "local", "pool": "cpu", "model": ")" +
           model + R"(", "accelerators": ")" + accelerators + R"(", "from": ")" + instant(from_us) + R"(", "to": ")" +
           instant(from_us + 24 * 3'600'000'000) + "\"}]}";
  }
  Result<v1::LoadCostsResponse> load(const std::string& json) {
    v1::LoadCostsRequest request;
    request.set_file_json(json);
    return statements(&StatementsApi::LoadCosts, request);
  }
  v1::GetMarginResponse report(std::int64_t from_us, const std::string& by, const std::string& model = "") {
    v1::GetMarginRequest request;
    request.set_from_us(from_us);
    request.set_to_us(from_us + 24 * 3'600'000'000);
    request.set_by(by);
    request.set_model(model);
    return statements(&StatementsApi::GetMargin, request).value();
  }
};

TEST_F(MarginReport, DeepSeeks545PercentComesOutOfTheLedger) {
  ASSERT_TRUE(load_prices_file(kR1));
  const auto customer = make_customer("all-of-them", "1000000");
  const auto epoch = open_epoch();
  const auto lease = accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, "600000", "600000")).value();
  constexpr std::int64_t kBillion = 1'000'000'000;
  // 24 hours of the service as one request: 342 of 608 billion input tokens from the cache, 168 billion output tokens.
  auto event = event_now(customer, lease, 1);
  event.set_model("deepseek-r1");
  event.set_prompt_tokens(608 * kBillion);
  event.set_cached_tokens(342 * kBillion);
  event.set_completion_tokens(168 * kBillion);
  rate(event);
  const std::int64_t from =
      unix_micros(std::chrono::floor<std::chrono::hours>(wall_from_unix_micros(event.completed_us())));
  ASSERT_TRUE(submit(make_batch(epoch, {event})));
  ASSERT_TRUE(load(cost_file(from, "1814", "deepseek-r1")));

  const auto by_model = report(from, "model");
  ASSERT_EQ(by_model.rows_size(), 1);
  EXPECT_EQ(by_model.rows(0).revenue(), "562100");
  EXPECT_EQ(by_model.rows(0).cost(), "87072");
  EXPECT_EQ(by_model.rows(0).accelerator_hours(), "43536");
  EXPECT_EQ(by_model.total().margin(), "475028");
  EXPECT_EQ(by_model.total().margin_percent(), "545.56");
  EXPECT_EQ(by_model.idle_cost(), "0");
  EXPECT_EQ(report(from, "hour").rows_size(), 24);
  EXPECT_EQ(report(from, "band").total().cost(), "87072");
  EXPECT_EQ(report(from, "model", "deepseek-r1").total().margin_percent(), "545.56");
  EXPECT_EQ(report(from, "model", "other").rows_size(), 0);
  expect_reconciled();
}

TEST_F(MarginReport, ASharedPoolsIdleHoursAreNobodys) {
  const auto customer = make_customer("acme", "10");
  const auto epoch = open_epoch();
  const auto lease = accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, "1")).value();
  const auto event = event_now(customer, lease, 1);
  const std::int64_t from =
      unix_micros(std::chrono::floor<std::chrono::hours>(wall_from_unix_micros(event.completed_us())));
  ASSERT_TRUE(submit(make_batch(epoch, {event})));
  ASSERT_TRUE(load(cost_file(from, "0.5", "")));
  const auto answer = report(from, "band");
  ASSERT_EQ(answer.rows_size(), 1);
  EXPECT_EQ(answer.rows(0).cost(), "1");
  EXPECT_EQ(answer.rows(0).band(), event.band());
  EXPECT_EQ(answer.idle_cost(), "23");
  EXPECT_EQ(answer.total().cost(), "24");
}

TEST_F(MarginReport, TheSameCostsTwiceChangeNothingAndOthersAreRefused) {
  const std::int64_t from = hour_us();
  EXPECT_EQ(load(cost_file(from, "4", "m"))->allocations_added(), 1);
  const auto again = load(cost_file(from, "4", "m"));
  EXPECT_EQ(again->unchanged(), 2);
  EXPECT_EQ(again->allocations_added() + again->rates_added(), 0);
  EXPECT_EQ(load(cost_file(from, "5", "m")).error().reason, "cost_overlaps");
  EXPECT_EQ(load(cost_file(from + 3'600'000'000, "4", "m")).error().reason, "cost_overlaps");
  EXPECT_EQ(load(cost_file(from + 1, "4", "m")).error().field, "use[0].to");
  EXPECT_EQ(load(cost_file(from, "-4", "m")).error().field, "use[0].accelerators");
  EXPECT_EQ(load(cost_file(from, "0.0000001", "m")).error().field, "use[0].accelerators");
  EXPECT_EQ(load("{}").error().field, "rates");
  EXPECT_EQ(load("[]").error().reason, "bad_cost");
  v1::GetMarginRequest request;
  request.set_from_us(from);
  request.set_to_us(from);
  EXPECT_EQ(statements(&StatementsApi::GetMargin, request).error().field, "to_us");
  request.set_to_us(from + 401LL * 24 * 3'600'000'000);
  EXPECT_EQ(statements(&StatementsApi::GetMargin, request).error().reason, "bad_range");
  request.set_by("week");
  EXPECT_EQ(statements(&StatementsApi::GetMargin, request).error().field, "by");
}

}  // namespace
}  // namespace tidegate::billing
