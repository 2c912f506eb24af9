#include <fmt/format.h>

#include "tests/integration/billing/house.h"
#include "tidegate/v1/pricing.grpc.pb.h"

namespace tidegate::billing {
namespace {

using PricingApi = class v1::Pricing::Stub::async;

class Allowances : public House {
 protected:
  Allowances() : acme_(make_customer("acme", "10")), other_(make_customer("other", "10")), epoch_(open_epoch()) {
    rpc::ChannelOptions options;
    options.token = config_.admin_key;
    channel_ = rpc::make_channel(billing_->address(), options).value();
    pricing_ = std::make_unique<rpc::Client<v1::Pricing>>(channel_);
    lease_ = accounts(&AccountsApi::AcquireLease, lease_request(acme_, epoch_, "1")).value();
    other_lease_ = accounts(&AccountsApi::AcquireLease, lease_request(other_, epoch_, "1")).value();
  }
  ~Allowances() override { channel_->shut(); }

  Result<v1::LoadAllowancesResponse> load(const std::string& plans) {
    v1::LoadAllowancesRequest request;
    request.set_file_json(R"({"allowances": [)" + plans + "]}");
    return pricing_->call_blocking(&PricingApi::LoadAllowances, request, soon());
  }
  static std::string plan(const std::string& name, const std::string& members) {
    return fmt::format(R"({{"name": "{}", "currency": "USD", "effective_from": "2099-01-01T00:00:00Z", {}}})", name, members);
  }
  /// Plans begin in the future; a test's usage lies there too.
  v1::UsageEvent event(const Customer& customer, const v1::Lease& lease, std::int64_t completion, const char* completed) {
    v1::UsageEvent out = make_event(customer, lease, ++sequence_, 100, 40, completion);
    const std::int64_t at = unix_micros(parse_rfc3339(completed).value());
    out.set_admitted_us(at - 2'000'000);
    out.set_started_us(at - 1'900'000);
    out.set_completed_us(at);
    rate(out);
    return out;
  }
  void bill(std::vector<v1::UsageEvent> events) {
    const auto ack = submit(make_batch(epoch_, std::move(events)));
    ASSERT_TRUE(ack) << ack.error().to_string();
  }

  Customer acme_, other_;
  std::uint64_t epoch_, sequence_ = 0;
  v1::Lease lease_, other_lease_;
  std::shared_ptr<rpc::Channel> channel_;
  std::unique_ptr<rpc::Client<v1::Pricing>> pricing_;
};

// Off-peak list: hit 1, miss 2, output 4 a million; a request of 60 + 40 and 50 costs 40 + 120 + 200 = 0.00036.
constexpr const char* kNight = "2099-01-05T20:00:00Z";

TEST_F(Allowances, AFreeQuotaIsGivenBackWhereTheUsageIsPosted) {
  const auto loaded = load(plan("start", R"("kind": "free_quota", "meters": ["output"], "free_tokens": 70)"));
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->added(), 1);
  bill({event(acme_, lease_, 50, kNight), event(other_, other_lease_, 50, kNight)});
  EXPECT_EQ(wallet_of(acme_).balance(), "9.99984") << "50 of 70 free: 200 given back";
  EXPECT_EQ(wallet_of(other_).balance(), "9.99984") << "each wallet has its own";
  bill({event(acme_, lease_, 50, kNight)});
  EXPECT_EQ(wallet_of(acme_).balance(), "9.99956") << "20 more were free: 80 given back of 360";
  bill({event(acme_, lease_, 50, kNight)});
  EXPECT_EQ(wallet_of(acme_).balance(), "9.9992") << "nothing left";
  EXPECT_EQ(query("SELECT sum(amount) FROM usage_hourly WHERE meter = 'free_quota'"), "-0.000480000000");
  expect_reconciled();
}

TEST_F(Allowances, TheMonthIsTheTenantsAndItsTiersMeetTheMiddleOfARequest) {
  ASSERT_TRUE(load(plan("more-is-less", R"("kind": "graduated", "meters": ["output"], "tenant": "acme",
    "tiers": [{"over": 0, "rate": "4"}, {"over": 80, "rate": "3"}])")));
  bill({event(acme_, lease_, 50, kNight), event(acme_, lease_, 50, kNight), event(other_, other_lease_, 50, kNight)});
  EXPECT_EQ(wallet_of(acme_).balance(), "9.9993") << "720, and 20 tokens a millionth cheaper";
  EXPECT_EQ(wallet_of(other_).balance(), "9.99964");
  bill({event(acme_, lease_, 50, "2099-02-02T20:00:00Z")});
  EXPECT_EQ(wallet_of(acme_).balance(), "9.99894") << "February counts anew";
  EXPECT_EQ(query("SELECT string_agg(month || ' ' || counted, ',' ORDER BY month) FROM allowance_counts"), "2099-01 100,2099-02 50");
  expect_reconciled();
}

TEST_F(Allowances, ABatchSentAgainCountsOnce) {
  ASSERT_TRUE(load(plan("start", R"("kind": "free_quota", "meters": ["output"], "free_tokens": 70)")));
  const auto batch = make_batch(epoch_, {event(acme_, lease_, 50, kNight)});
  ASSERT_TRUE(submit(batch));
  ASSERT_TRUE(submit(batch));
  EXPECT_EQ(query("SELECT counted FROM allowance_counts"), "50");
  EXPECT_EQ(wallet_of(acme_).balance(), "9.99984");
  expect_reconciled();
}

TEST_F(Allowances, BadPlansAreRefusedWholeByName) {
  EXPECT_EQ(load(plan("a", R"("kind": "free", "meters": ["output"], "free_tokens": 1)")).error().field, "allowances[0].kind");
  EXPECT_EQ(load(plan("a", R"("kind": "volume", "meters": ["output"], "tiers": [{"over": 5, "rate": "1"}])")).error().field,
            "allowances.tiers");
  EXPECT_EQ(load(plan("a", R"("kind": "free_quota", "meters": ["words"], "free_tokens": 1)")).error().field, "allowances[0].meters");
  EXPECT_EQ(load(plan("a", R"("kind": "free_quota", "meters": ["output"], "free_token": 1)")).error().field,
            "allowances[0].free_token");
  EXPECT_EQ(load(plan("a", R"("kind": "free_quota", "meters": ["output"], "free_tokens": 1, "tenant": "nobody")")).error().reason,
            "unknown_tenant");
  EXPECT_EQ(query("SELECT count(*) FROM allowance_plans"), "0");
}

TEST_F(Allowances, PlansAreListedWithTheirTerms) {
  ASSERT_TRUE(load(plan("start", R"("kind": "volume", "meters": ["input_cache_miss", "output"], "model": "m",
    "tiers": [{"over": 0, "rate": "4"}, {"over": 1000, "rate": "2.5"}])")));
  const auto list = pricing_->call_blocking(&PricingApi::ListAllowances, v1::ListAllowancesRequest(), soon());
  ASSERT_TRUE(list) << list.error().to_string();
  ASSERT_EQ(list->allowances_size(), 1);
  EXPECT_EQ(list->allowances(0).kind(), "volume");
  EXPECT_EQ(list->allowances(0).meters_size(), 2);
  EXPECT_EQ(list->allowances(0).tiers(1).micro_per_million(), 2'500'000);
}

}  // namespace
}  // namespace tidegate::billing
