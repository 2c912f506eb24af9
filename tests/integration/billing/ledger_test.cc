#include <fmt/format.h>

#include "tests/integration/billing/house.h"
#include "tidegate/v1/ledger.grpc.pb.h"

namespace tidegate::billing {
namespace {

using LedgerApi = class v1::Ledger::Stub::async;

class Ledger : public House {
 protected:
  Ledger() : customer_(make_customer("acme", "10")), epoch_(open_epoch()) {
    rpc::ChannelOptions options;
    options.token = config_.admin_key;
    channel_ = rpc::make_channel(billing_->address(), options).value();
    client_ = std::make_unique<rpc::Client<v1::Ledger>>(channel_);
    lease_ = accounts(&AccountsApi::AcquireLease, lease_request(customer_, epoch_, "1")).value();
  }
  ~Ledger() override { channel_->shut(); }

  template <typename Request, typename Response>
  Result<Response> ledger(rpc::UnaryMethod<LedgerApi, Request, Response> method, Request request) {
    return client_->call_blocking(method, std::move(request), soon());
  }
  std::string uuid() { return ids_.next().to_string(); }
  v1::AdjustRequest adjustment(v1::AdjustmentKind kind, const std::string& amount) {
    v1::AdjustRequest request;
    request.set_kind(kind);
    request.set_tenant("acme");
    request.set_amount(amount);
    request.set_request_id(uuid());
    request.set_actor("ann");
    request.set_note("ticket 1");
    return request;
  }
  v1::ReverseRequest reversal(const std::string& tx) {
    v1::ReverseRequest request;
    request.set_tx_id(tx);
    request.set_request_id(uuid());
    request.set_actor("ann");
    request.set_note("booked twice");
    return request;
  }

  /// The model's price was wrong from the beginning: peak is withdrawn from, the one schedule costs 1/2/4 (or `factor` times).
  void publish_correction(int factor) {
    force(fmt::format(R"sql(
      UPDATE price_versions SET status = 'withdrawn' WHERE model = 'm' AND currency = 'USD';
      WITH v AS (INSERT INTO price_versions (book, model, currency, effective, basis, sha256)
                 VALUES ('tide-corrected', 'm', 'USD', tstzrange('2020-01-01', NULL), 'completed_at', sha256('c{0}')) RETURNING id),
           s AS (INSERT INTO price_schedules (price_version, ord, band, is_default, tz, days)
                 SELECT id, 0, 'corrected', true, 'UTC', '{{}}' FROM v RETURNING price_version)
      INSERT INTO price_rates SELECT price_version, 'corrected', r.meter, r.micro * {0} FROM s,
        (VALUES ('input_cache_hit', 1000000), ('input_cache_miss', 2000000), ('output', 4000000)) r(meter, micro);
      UPDATE price_state SET revision = revision + 1)sql", factor));
  }
  v1::RerateRequest rerating() {
    v1::RerateRequest request;
    request.set_run_id(uuid());
    request.set_from_us(unix_micros(parse_rfc3339("2026-11-20T00:00:00Z").value()));
    request.set_to_us(unix_micros(parse_rfc3339("2026-11-21T00:00:00Z").value()));
    request.set_actor("ann");
    request.set_note("peak was not agreed");
    return request;
  }
  void use(std::uint64_t events) {
    std::vector<v1::UsageEvent> batch;
    for (std::uint64_t i = 1; i <= events; ++i) batch.push_back(make_event(customer_, lease_, i));
    ASSERT_TRUE(submit(make_batch(epoch_, std::move(batch))));
  }

  Customer customer_;
  std::uint64_t epoch_;
  v1::Lease lease_;
  std::shared_ptr<rpc::Channel> channel_;
  std::unique_ptr<rpc::Client<v1::Ledger>> client_;
};

TEST_F(Ledger, ARefundTakesMoneyOutOnceHoweverOftenItIsSent) {
  const auto request = adjustment(v1::ADJUSTMENT_KIND_REFUND, "2.5");
  const auto first = ledger(&LedgerApi::Adjust, request);
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(first->wallet().balance(), "7.5");
  EXPECT_EQ(ledger(&LedgerApi::Adjust, request)->tx_id(), first->tx_id());
  EXPECT_EQ(wallet_of(customer_).balance(), "7.5");
  EXPECT_EQ(query("SELECT actor || ': ' || note FROM ledger_tx WHERE source_type = 'refund'"), "ann: ticket 1");
  expect_reconciled();
}

TEST_F(Ledger, AnIdNamesOneMovementOfMoney) {
  auto request = adjustment(v1::ADJUSTMENT_KIND_REFUND, "2.5");
  ASSERT_TRUE(ledger(&LedgerApi::Adjust, request));
  request.set_amount("2.6");
  EXPECT_EQ(ledger(&LedgerApi::Adjust, request).error().reason, "adjustment_differs");
  request.set_amount("2.5");
  request.set_kind(v1::ADJUSTMENT_KIND_CREDIT_NOTE);
  EXPECT_EQ(ledger(&LedgerApi::Adjust, request).error().reason, "adjustment_differs");
}

TEST_F(Ledger, LeasedMoneyIsNotRefunded) {
  const auto refused = ledger(&LedgerApi::Adjust, adjustment(v1::ADJUSTMENT_KIND_REFUND, "9.000000000001"));
  EXPECT_EQ(refused.error().reason, "insufficient_balance");
  EXPECT_TRUE(ledger(&LedgerApi::Adjust, adjustment(v1::ADJUSTMENT_KIND_REFUND, "9")));
  expect_reconciled();
}

TEST_F(Ledger, CreditNotesAndCorrectionsMoveRevenue) {
  EXPECT_EQ(ledger(&LedgerApi::Adjust, adjustment(v1::ADJUSTMENT_KIND_CREDIT_NOTE, "1"))->wallet().balance(), "11");
  EXPECT_EQ(ledger(&LedgerApi::Adjust, adjustment(v1::ADJUSTMENT_KIND_CORRECTION, "-0.25"))->wallet().balance(), "10.75");
  EXPECT_EQ(query("SELECT sum(e.amount) FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account AND a.kind = 'revenue'"),
            "0.750000000000");
  expect_reconciled();
}

TEST_F(Ledger, AmountsAndWordsAreChecked) {
  EXPECT_EQ(ledger(&LedgerApi::Adjust, adjustment(v1::ADJUSTMENT_KIND_REFUND, "-1")).error().field, "amount");
  EXPECT_EQ(ledger(&LedgerApi::Adjust, adjustment(v1::ADJUSTMENT_KIND_CORRECTION, "0")).error().field, "amount");
  auto request = adjustment(v1::ADJUSTMENT_KIND_REFUND, "1");
  request.clear_note();
  EXPECT_EQ(ledger(&LedgerApi::Adjust, request).error().field, "note");
  request = adjustment(v1::ADJUSTMENT_KIND_UNSPECIFIED, "1");
  EXPECT_EQ(ledger(&LedgerApi::Adjust, request).error().field, "kind");
  request = adjustment(v1::ADJUSTMENT_KIND_REFUND, "1");
  request.set_request_id("again");
  EXPECT_EQ(ledger(&LedgerApi::Adjust, request).error().field, "request_id");
}

TEST_F(Ledger, ATopUpIsReversedOnce) {
  v1::TopUpRequest top_up;
  top_up.set_tenant("acme");
  top_up.set_amount("5");
  ASSERT_TRUE(admin(&AdminApi::TopUp, top_up));
  const std::string tx = query("SELECT id FROM ledger_tx WHERE source_type = 'top_up' ORDER BY id DESC LIMIT 1");
  const auto request = reversal(tx);
  EXPECT_EQ(ledger(&LedgerApi::Reverse, request)->wallet().balance(), "10");
  EXPECT_EQ(ledger(&LedgerApi::Reverse, request)->wallet().balance(), "10");
  EXPECT_EQ(ledger(&LedgerApi::Reverse, reversal(tx)).error().reason, "already_reversed");
  EXPECT_EQ(ledger(&LedgerApi::Reverse, reversal(uuid())).error().reason, "unknown_transaction");
  expect_reconciled();
}

TEST_F(Ledger, UsageIsNotReversed) {
  use(1);
  const std::string tx = query("SELECT id FROM ledger_tx WHERE source_type = 'usage_batch'");
  EXPECT_EQ(ledger(&LedgerApi::Reverse, reversal(tx)).error().reason, "not_reversible");
}

TEST_F(Ledger, ReratingCreditsTheDifferenceAndKeepsTheOldLines) {
  use(2);
  ASSERT_EQ(wallet_of(customer_).balance(), "9.99856");
  publish_correction(1);
  const auto request = rerating();
  const auto done = ledger(&LedgerApi::Rerate, request);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(done->is_finished());
  EXPECT_EQ(done->changed(), 2);
  EXPECT_EQ(done->totals(0).before(), "0.00144");
  EXPECT_EQ(done->totals(0).after(), "0.00072");
  EXPECT_EQ(wallet_of(customer_).balance(), "9.99928");
  EXPECT_EQ(query("SELECT count(*) FROM rated_lines WHERE rating_no = 1 AND voided_by IS NOT NULL"), "6");
  EXPECT_EQ(query("SELECT sum(amount) FROM rated_lines WHERE voided_by IS NULL"), "0.000720000000");
  EXPECT_EQ(query("SELECT sum(amount) FROM usage_hourly"), "0.000720000000");
  EXPECT_EQ(query("SELECT string_agg(DISTINCT band, ',') FROM usage_hourly"), "corrected");
  expect_reconciled();
}

TEST_F(Ledger, ReratingTwiceChangesNothing) {
  use(2);
  publish_correction(1);
  const auto request = rerating();
  ASSERT_TRUE(ledger(&LedgerApi::Rerate, request));
  EXPECT_EQ(ledger(&LedgerApi::Rerate, request)->changed(), 2) << "the same run tells its result again";
  const auto again = ledger(&LedgerApi::Rerate, rerating());
  EXPECT_EQ(again->scanned(), 2);
  EXPECT_EQ(again->changed(), 0);
  EXPECT_EQ(query("SELECT count(*) FROM ledger_tx WHERE source_type = 'rerating'"), "2");
  EXPECT_EQ(wallet_of(customer_).balance(), "9.99928");
  expect_reconciled();
}

TEST_F(Ledger, ADryRunChangesNothing) {
  use(2);
  publish_correction(1);
  auto request = rerating();
  request.set_dry_run(true);
  EXPECT_EQ(ledger(&LedgerApi::Rerate, request)->totals(0).after(), "0.00072");
  EXPECT_EQ(query("SELECT count(*) FROM usage_reratings"), "0");
  EXPECT_EQ(wallet_of(customer_).balance(), "9.99856");
}

TEST_F(Ledger, NobodyIsDebitedUnlessTheOperatorSaysSo) {
  use(2);
  publish_correction(10);
  const auto kept = ledger(&LedgerApi::Rerate, rerating());
  EXPECT_EQ(kept->changed(), 0);
  EXPECT_EQ(kept->dearer(), 2);
  EXPECT_EQ(wallet_of(customer_).balance(), "9.99856");
  auto request = rerating();
  request.set_allow_debit(true);
  EXPECT_EQ(ledger(&LedgerApi::Rerate, request)->changed(), 2);
  EXPECT_EQ(wallet_of(customer_).balance(), "9.9928");
  expect_reconciled();
}

TEST_F(Ledger, ReratingGoesOnThroughManyBatchesAndAThirdRating) {
  std::vector<v1::UsageEvent> batch;
  for (std::uint64_t i = 1; i <= 1500; ++i) {
    batch.push_back(make_event(customer_, lease_, i, 10 + static_cast<std::int64_t>(i % 50), 5, 7));
    if (batch.size() < 750) continue;
    ASSERT_TRUE(submit(make_batch(epoch_, std::exchange(batch, {}))));
  }
  publish_correction(1);
  EXPECT_EQ(ledger(&LedgerApi::Rerate, rerating())->changed(), 1500);
  publish_correction(0);
  EXPECT_EQ(ledger(&LedgerApi::Rerate, rerating())->changed(), 1500);
  EXPECT_EQ(wallet_of(customer_).balance(), "10") << "in the end it was free";
  EXPECT_EQ(query("SELECT max(rating_no) FROM rated_lines"), "3");
  expect_reconciled();
}

TEST_F(Ledger, ARunIsOneQuestion) {
  auto request = rerating();
  ASSERT_TRUE(ledger(&LedgerApi::Rerate, request));
  request.set_model("m");
  EXPECT_EQ(ledger(&LedgerApi::Rerate, request).error().reason, "run_differs");
  request = rerating();
  request.set_to_us(request.from_us());
  EXPECT_EQ(ledger(&LedgerApi::Rerate, request).error().reason, "bad_range");
}

TEST_F(Ledger, ReconcileSeesARatingThatWasTamperedWith) {
  use(2);
  publish_correction(1);
  ASSERT_TRUE(ledger(&LedgerApi::Rerate, rerating()));
  expect_reconciled();
  force("UPDATE usage_reratings SET amount = amount + 0.000000000001 WHERE event_id = (SELECT min(event_id::text)::uuid FROM usage_reratings)");
  EXPECT_EQ(broken_checks(), "I3 I4");
}

}  // namespace
}  // namespace tidegate::billing
