#include <fmt/format.h>

#include "tests/integration/billing/house.h"
#include "tidegate/v1/ledger.grpc.pb.h"
#include "tidegate/v1/pricing.grpc.pb.h"

namespace tidegate::billing {
namespace {

using PricingApi = class v1::Pricing::Stub::async;
using LedgerApi = class v1::Ledger::Stub::async;

/// A model with a list price, a contract of acme with prompt tiers and a minimum charge, and a modifier that begins in half
/// an hour.
class Pricing : public House {
 protected:
  Pricing() : acme_(make_customer("acme", "10")), other_(make_customer("other", "10")), epoch_(open_epoch()) {
    rpc::ChannelOptions options;
    options.token = config_.admin_key;
    channel_ = rpc::make_channel(billing_->address(), options).value();
    pricing_ = std::make_unique<rpc::Client<v1::Pricing>>(channel_);
    ledger_ = std::make_unique<rpc::Client<v1::Ledger>>(channel_);
    lease_ = accounts(&AccountsApi::AcquireLease, lease_request(acme_, epoch_, "1")).value();
    other_lease_ = accounts(&AccountsApi::AcquireLease, lease_request(other_, epoch_, "1")).value();
  }
  ~Pricing() override { channel_->shut(); }

  static std::string list(const std::string& id, const std::string& from, const std::string& to, const std::string& output) {
    return fmt::format(R"({{"price_books": [{{"id": "{}", "models": ["n"], "effective_from": "{}", "effective_to": {}, "schedules": [
      {{"name": "standard", "default": true, "rates": {{"USD": {{"input_cache_hit": "1", "input_cache_miss": "2",
        "output": "{}"}}}}}}]}}]}})",
                       id, from, to.empty() ? "null" : "\"" + to + "\"", output);
  }
  std::string whole() const {
    return fmt::format(R"({{
      "calendars": {{"CN": {{"holidays": ["2026-10-01"], "workdays": ["2026-10-10"]}}}},
      "price_books": [
        {{"id": "n-list", "models": ["n"], "effective_from": "2026-01-01T00:00:00Z", "schedules": [
          {{"name": "standard", "default": true, "rates": {{"USD": {{"input_cache_hit": "1", "input_cache_miss": "2", "output": "4"}}}}}}]}},
        {{"id": "n-acme", "tenant": "acme", "models": ["n"], "effective_from": "2026-01-01T00:00:00Z",
          "minimum_charge": {{"USD": "0.001"}}, "schedules": [
          {{"name": "contract", "default": true, "prompt_tiers": [
            {{"up_to": 64, "rates": {{"USD": {{"input_cache_hit": "1", "input_cache_miss": "2", "output": "3"}}}}}},
            {{"rates": {{"USD": {{"input_cache_hit": "10", "input_cache_miss": "20", "output": "30"}}}}}}]}}]}}],
      "modifiers": [{{"name": "launch", "factor": "1/3", "model": "n", "effective_from": "{}"}}]}})",
                       in(30));
  }
  std::string in(int minutes) const { return format_rfc3339(clock_.wall() + std::chrono::minutes(minutes)); }

  v1::UsageEvent event(const Customer& customer, const v1::Lease& lease, std::int64_t prompt, std::int64_t cached,
                       std::int64_t completion, Wall completed) {
    v1::UsageEvent out = make_event(customer, lease, ++sequence_, prompt, cached, completion);
    out.set_model("n");
    out.set_admitted_us(unix_micros(completed) - 2'000'000);
    out.set_started_us(unix_micros(completed) - 1'900'000);
    out.set_completed_us(unix_micros(completed));
    rate(out);
    return out;
  }
  Result<v1::WithdrawPriceResponse> withdraw(std::int64_t version) {
    v1::WithdrawPriceRequest request;
    request.set_price_version(version);
    return pricing_->call_blocking(&PricingApi::WithdrawPrice, request, soon());
  }
  Result<v1::PreviewPricesResponse> preview(const std::string& file) {
    v1::PreviewPricesRequest request;
    request.set_file_json(file);
    request.set_from_us(unix_micros(parse_rfc3339("2026-11-01T00:00:00Z").value()));
    request.set_to_us(unix_micros(parse_rfc3339("2026-12-01T00:00:00Z").value()));
    return pricing_->call_blocking(&PricingApi::PreviewPrices, request, soon());
  }
  std::int64_t version_of(const std::string& book) {
    return std::stoll(query("SELECT id FROM price_versions WHERE status = 'published' AND book = '" + book + "'"));
  }

  Customer acme_, other_;
  std::uint64_t epoch_, sequence_ = 0;
  v1::Lease lease_, other_lease_;
  std::shared_ptr<rpc::Channel> channel_;
  std::unique_ptr<rpc::Client<v1::Pricing>> pricing_;
  std::unique_ptr<rpc::Client<v1::Ledger>> ledger_;
  const Wall noon_ = parse_rfc3339("2026-11-20T12:00:00Z").value();
};

TEST_F(Pricing, ContractsTiersMinimumsAndModifiersAreRatedPostedAndProvedToThePico) {
  const auto loaded = load_prices_file(whole());
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->versions_added(), 2);
  EXPECT_EQ(loaded->modifiers_added(), 1);
  const Wall later = clock_.wall() + std::chrono::minutes(31);
  const std::vector<v1::UsageEvent> events = {
      event(acme_, lease_, 100, 40, 50, noon_),          // the long tier: 400 + 1200 + 1500
      event(acme_, lease_, 10, 0, 1, noon_),             // 20 + 3, and the minimum
      event(acme_, lease_, 100, 40, 50, later),          // a third of the first: 133.333333 + 400 + 500
      event(other_, other_lease_, 100, 40, 50, noon_),   // the list: 40 + 120 + 200
      event(other_, other_lease_, 100, 40, 50, later)};  // a third of it: 13.333333 + 40 + 66.666667
  const char* expected[] = {"0.0031", "0.001", "0.001033333333", "0.00036", "0.00012"};
  for (std::size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].amount(), expected[i]) << i;
  const auto ack = submit(make_batch(epoch_, events));
  ASSERT_TRUE(ack) << ack.error().to_string();
  EXPECT_EQ(wallet_of(acme_).balance(), "9.994866666667");
  EXPECT_EQ(query("SELECT sum(amount) FROM rated_lines WHERE meter = 'minimum_charge'"), "0.000977000000");
  EXPECT_EQ(query("SELECT sum(amount) FROM usage_hourly"), "0.005613333333");
  EXPECT_EQ(query("SELECT count(*) FROM usage_tariffs WHERE mod_num = 1 AND mod_den = 3"), "2");
  expect_reconciled();
}

TEST_F(Pricing, AContractIsNobodyElses) {
  ASSERT_TRUE(load_prices_file(whole()));
  auto stolen = event(other_, other_lease_, 10, 0, 1, noon_);
  stolen.set_price_version(version_of("n-acme"));
  EXPECT_EQ(submit(make_batch(epoch_, {stolen})).error().reason, "price_mismatch");
  std::string unknown = whole();
  unknown.replace(unknown.find("\"acme\""), 6, "\"nobody\"");
  EXPECT_EQ(load_prices_file(unknown).error().reason, "unknown_tenant");
}

TEST_F(Pricing, AModifierWaitsForTheLeadAndItsEndMovesBeyondIt) {
  const auto modifier = [&](const std::string& from, const std::string& to, const std::string& factor) {
    return fmt::format(R"({{"price_books": [], "modifiers": [{{"name": "night", "factor": "{}", "effective_from": "{}"{}}}]}})", factor,
                       from, to.empty() ? "" : ", \"effective_to\": \"" + to + "\"");
  };
  EXPECT_EQ(load_prices_file(modifier(in(5), "", "1/2")).error().field, "effective_from");
  const std::string from = in(20);
  EXPECT_EQ(load_prices_file(modifier(from, "", "1/2"))->modifiers_added(), 1);
  EXPECT_EQ(load_prices_file(modifier(from, "", "1/2"))->versions_unchanged(), 1);
  EXPECT_EQ(load_prices_file(modifier(from, "", "1/4")).error().field, "modifiers");
  EXPECT_EQ(load_prices_file(modifier(from, in(60), "1/2"))->modifiers_ended(), 1);
  v1::WithdrawPriceRequest request;
  request.set_modifier(1);
  EXPECT_EQ(pricing_->call_blocking(&PricingApi::WithdrawPrice, request, soon())->modifier().name(), "night");
  EXPECT_EQ(admin(&AdminApi::ListPrices, v1::ListPricesRequest())->modifiers_size(), 0);
}

TEST_F(Pricing, RatingAnewTakesBackWhatAMinimumAdded) {
  ASSERT_TRUE(load_prices_file(whole()));
  ASSERT_TRUE(submit(make_batch(epoch_, {event(acme_, lease_, 10, 0, 1, noon_), event(acme_, lease_, 100, 40, 50, noon_)})));
  force("UPDATE price_versions SET status = 'withdrawn' WHERE book = 'n-acme'; UPDATE price_state SET revision = revision + 1");
  v1::RerateRequest request;
  request.set_run_id(ids_.next().to_string());
  request.set_from_us(unix_micros(noon_) - 1);
  request.set_to_us(unix_micros(noon_) + 1);
  request.set_actor("ann");
  request.set_note("the contract was not signed");
  for (int again = 0; again < 2; ++again) {
    const auto done = ledger_->call_blocking(&LedgerApi::Rerate, request, soon());
    ASSERT_TRUE(done) << done.error().to_string();
    EXPECT_EQ(done->changed(), 2);
    EXPECT_EQ(wallet_of(acme_).balance(), "9.999616") << "the list: 20 + 4 and 360";
  }
  EXPECT_EQ(query("SELECT count(*) FROM usage_hourly WHERE meter = 'minimum_charge'"), "0");
  expect_reconciled();
}

TEST_F(Pricing, WithdrawingLetsTheOneBeforeGoOn) {
  const std::string end = in(60);
  ASSERT_TRUE(load_prices_file(list("n1", "2026-01-01T00:00:00Z", "", "4")));
  ASSERT_TRUE(load_prices_file(list("n1", "2026-01-01T00:00:00Z", end, "4")));
  ASSERT_TRUE(load_prices_file(list("n2", end, "", "5")));
  EXPECT_EQ(withdraw(version_of("n1")).error().reason, "price_in_force");
  EXPECT_EQ(withdraw(4711).error().reason, "unknown_price");
  const std::int64_t first = version_of("n1"), second = version_of("n2");
  const auto done = withdraw(second);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->price().book(), "n2");
  EXPECT_EQ(done->resumed_version(), first);
  v1::ListPricesRequest request;
  request.set_model("n");
  const auto listed = admin(&AdminApi::ListPrices, request);
  ASSERT_EQ(listed->prices_size(), 1);
  EXPECT_EQ(listed->prices(0).effective_to_us(), 0);
  EXPECT_EQ(withdraw(second).error().reason, "unknown_price") << "once";
  EXPECT_EQ(query("SELECT count(*) FROM price_versions WHERE status = 'withdrawn' AND withdrawn_at IS NOT NULL"), "1");
}

TEST_F(Pricing, APreviewRatesThePastByADraftAndChangesNothing) {
  ASSERT_TRUE(load_prices_file(list("n1", "2026-01-01T00:00:00Z", "", "4")));
  std::vector<v1::UsageEvent> events;
  for (int i = 0; i < 3; ++i) events.push_back(event(acme_, lease_, 100, 40, 50, noon_));
  events.push_back(make_event(acme_, lease_, ++sequence_));  // of model m, which the draft does not name
  ASSERT_TRUE(submit(make_batch(epoch_, events)));
  const std::string before = query("SELECT md5(string_agg(v::text, '')) FROM price_versions v");
  const auto answer = preview(list("draft", in(60 * 24 * 40), "", "8"));
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_TRUE(answer->is_finished());
  ASSERT_EQ(answer->lines_size(), 2);
  EXPECT_EQ(answer->lines(0).model(), "m");
  EXPECT_EQ(answer->lines(0).before(), answer->lines(0).after());
  EXPECT_EQ(answer->lines(1).requests(), 3);
  EXPECT_EQ(answer->lines(1).before(), "0.00108");
  EXPECT_EQ(answer->lines(1).after(), "0.00168");
  EXPECT_EQ(answer->lines(1).dearer(), 3);
  EXPECT_EQ(query("SELECT md5(string_agg(v::text, '')) FROM price_versions v"), before);
  EXPECT_EQ(preview(list("draft", "2026-01-01T00:00:00Z", "2026-11-10T00:00:00Z", "8")).error().field, "effective_to");
}

}  // namespace
}  // namespace tidegate::billing
