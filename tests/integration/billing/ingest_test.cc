#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "base/pg/pool.h"
#include "billing/adapters/usage_store.h"
#include "billing/rpc/messages.h"
#include "tests/integration/billing/house.h"

namespace tidegate::billing {
namespace {

/// Batches straight into apply_usage, several connections at a time.
class Ingest : public House {
 protected:
  Ingest() : customer_(make_customer("acme", "1000")), epoch_(open_epoch()) {
    lease_ = accounts(&AccountsApi::AcquireLease, lease_request(customer_, epoch_, "500")).value();
  }
  Result<AppliedBatch> apply(const v1::UsageBatch& message) {
    TG_ASSIGN(const auto batch, read_batch(message));
    const UsageContext context{&prices_, &dimensions_, &ids_, "2025b", clock_.wall()};
    return pool_.run_blocking(soon(), [&](pqxx::work& tx) { return apply_usage(tx, batch, context); });
  }

  Customer customer_;
  std::uint64_t epoch_;
  v1::Lease lease_;
  PriceCache prices_;
  UsageDimensions dimensions_;
  pg::Pool pool_{{.connection = config_.pg_dsn, .connections = 4}};
};

TEST_F(Ingest, ABatchSentByFourConnectionsAtOnceIsBilledOnce) {
  std::vector<v1::UsageEvent> events;
  for (std::uint64_t i = 1; i <= 100; ++i) events.push_back(make_event(customer_, lease_, i));
  const auto batch = make_batch(epoch_, events);
  std::atomic<std::size_t> applied{0}, acknowledged{0};
  std::vector<std::thread> senders;
  for (int i = 0; i < 4; ++i) {
    senders.emplace_back([&] {
      const auto outcome = apply(batch);
      if (!outcome) return;
      ++acknowledged;
      applied += outcome->applied;
    });
  }
  for (auto& sender : senders) sender.join();
  EXPECT_EQ(acknowledged, 4u);
  EXPECT_EQ(applied, 100u);
  EXPECT_EQ(query("SELECT count(*) FROM usage_log"), "100");
  expect_reconciled();
}

TEST_F(Ingest, WhatComesHoursLateIsBilledAndTold) {
  v1::UsageEvent punctual = make_event(customer_, lease_, 1);
  const std::int64_t now = unix_micros(clock_.wall());
  punctual.set_admitted_us(now - 2'000'000);
  punctual.set_started_us(now - 1'900'000);
  punctual.set_completed_us(now);
  rate(punctual);
  ASSERT_TRUE(submit(make_batch(epoch_, {punctual})));
  EXPECT_FALSE(log_.has("usage_late"));
  ASSERT_TRUE(submit(make_batch(epoch_, {make_event(customer_, lease_, 2)}))) << "of 2026-11-20";
  EXPECT_TRUE(log_.has("usage_late"));
  EXPECT_EQ(registry_.value("tidegate_billing_usage_delay_seconds"), 2);
  EXPECT_EQ(query("SELECT count(*) FROM usage_log"), "2");
  expect_reconciled();
}

TEST_F(Ingest, OneEventInTwoEpochsAtOnceIsBilledOnce) {
  const std::uint64_t other = open_epoch("g2");
  for (std::uint64_t round = 1; round <= 20; ++round) {
    const auto mine = make_event(customer_, lease_, round);
    auto sent = [&](std::uint64_t epoch, const std::string& gateway) {
      // "concurrent_event" asks for the same again.
      for (int attempt = 0; attempt < 20; ++attempt) {
        const auto outcome = apply(make_batch(epoch, {mine}, gateway));
        if (outcome || outcome.error().code != Code::kAborted) return outcome.has_value();
      }
      return false;
    };
    bool first = false, second = false;
    std::thread racer([&] { first = sent(epoch_, "g1"); });
    // The lease is g1's: where g2 wins the race its batch is refused, and comes again as a duplicate.
    second = sent(other, "g2");
    racer.join();
    EXPECT_TRUE(first);
    EXPECT_TRUE(second || sent(other, "g2"));
  }
  EXPECT_EQ(query("SELECT count(*) FROM usage_log"), "20");
  expect_reconciled();
}

/// What must come out, kept by the simplest means.
struct Model {
  Money charged;
  std::map<std::string, Int128> tokens;  ///< by meter
  std::size_t events = 0;

  void add(const v1::UsageEvent& event) {
    charged += Money::parse(event.amount()).value();
    tokens["input_cache_hit"] += event.cached_tokens();
    tokens["input_cache_miss"] += event.prompt_tokens() - event.cached_tokens();
    tokens["output"] += event.completion_tokens();
    ++events;
  }
};

TEST_F(Ingest, TenThousandRandomBatchesEqualASimpleModelToThePico) {
  std::mt19937 random(20261122);
  auto pick = [&](int from, int to) { return std::uniform_int_distribution<int>(from, to)(random); };
  Model model;
  std::vector<v1::UsageEvent> log;  // the gateway's journal
  std::size_t applied = 0;
  constexpr int kBatches = 10'000;
  for (int n = 0; n < kBatches; ++n) {
    const int kind = pick(0, 9);
    const std::size_t grown = log.size() + static_cast<std::size_t>(pick(0, 2));
    while (log.size() < std::max<std::size_t>(grown, 1)) {
      const int prompt = pick(0, 300);
      log.push_back(make_event(customer_, lease_, log.size() + 1, prompt, pick(0, prompt), pick(0, 100)));
    }
    // In order, again from further back, or out of order: a later batch first.
    std::size_t from = applied;
    if (kind < 3) from -= std::min<std::size_t>(applied, static_cast<std::size_t>(pick(1, 5)));
    if (kind == 9) from = applied + 1;
    if (from >= log.size()) continue;
    const std::size_t to = std::min(log.size(), from + static_cast<std::size_t>(pick(1, 4)));
    const auto outcome = apply(make_batch(epoch_, {log.begin() + static_cast<std::ptrdiff_t>(from), log.begin() + static_cast<std::ptrdiff_t>(to)}));
    if (from > applied) {
      ASSERT_FALSE(outcome);
      ASSERT_EQ(outcome.error().reason, "sequence_gap");
      continue;
    }
    ASSERT_TRUE(outcome) << outcome.error().to_string();
    ASSERT_EQ(outcome->applied, to > applied ? to - applied : 0);
    for (; applied < to; ++applied) model.add(log[applied]);
  }
  EXPECT_GT(model.events, 5'000u);
  EXPECT_EQ(query("SELECT count(*) FROM usage_log"), std::to_string(model.events));
  EXPECT_EQ(Money::parse(query("SELECT sum(amount) FROM rated_lines")).value(), model.charged);
  EXPECT_EQ(Money::parse(query("SELECT sum(amount) FROM usage_hourly")).value(), model.charged);
  EXPECT_EQ(Money::parse(query("SELECT 1000 - balance FROM wallets")).value(), model.charged);
  EXPECT_EQ(Money::parse(query("SELECT sum(consumed) FROM leases")).value(), model.charged);
  for (const auto& [meter, tokens] : model.tokens) {
    EXPECT_EQ(query("SELECT sum(quantity) FROM usage_hourly WHERE meter = '" + meter + "'"), int128_to_string(tokens)) << meter;
  }
  expect_reconciled();
}

}  // namespace
}  // namespace tidegate::billing
