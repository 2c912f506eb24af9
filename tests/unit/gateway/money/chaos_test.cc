// Lives of a gateway under load, each ended at a random disk operation with billing failing at random. At the end every
// request whose caller was told its price is billed once at that price, and the wallet agrees to the pico.
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <future>
#include <map>
#include <mutex>

#include "tests/unit/gateway/money/money_world.h"

namespace tidegate::gateway {
namespace {

using test::eventually;
using test::FakeBilling;
using test::money;
using Call = FakeBilling::Call;

struct ChaosTest : test::MoneyWorld, testing::WithParamInterface<std::uint64_t> {
  std::mutex mutex;
  std::map<RequestId, Money> told;  // guarded by mutex
  std::atomic<std::uint64_t> ids = 1;

  /// One client: requests of random length and ending, until it is refused too often.
  awaitable<void> client(std::shared_ptr<Treasury> gateway, std::shared_ptr<const Principal> principal,
                         std::uint64_t seed) {
    Rng rng(seed);
    for (int i = 0; i < 40 && !gateway->has_failed(); ++i) {
      AdmissionRequest mine;
      mine.request = test::request_id(ids++);
      mine.principal = principal;
      mine.model = "tang-moe";
      mine.region = "local";
      mine.pool = "cpu";
      mine.prompt_tokens_max = 500;
      mine.completion_tokens_max = 300;
      mine.budget = std::chrono::seconds(60);
      mine.is_stream = rng.below(4) != 0;
      mine.surface = "http.chat";
      const RequestId id = mine.request;
      auto admitted = co_await gateway->meter().admit(std::move(mine));
      if (!admitted) continue;
      std::unique_ptr<Charge> charge = *std::move(admitted);
      TokenUsage usage{.prompt = static_cast<std::int64_t>(rng.below(500)), .cached = 0, .completion = 0, .reasoning = 0};
      if (rng.below(10) == 0) continue;  // a bug: dropped without settling
      charge->on_accepted(usage, "worker-1");
      const std::uint64_t steps = rng.below(150);
      for (std::uint64_t step = 0; step < steps; ++step) {
        ++usage.completion;
        charge->on_progress(usage);
        if (step % 50 == 0) co_await asio::post(asio::use_awaitable);  // let the other requests in
      }
      FinalReport final = report(usage.prompt, usage.completion,
                                 rng.below(5) == 0 ? Outcome::kCancelled : Outcome::kCompleted);
      const auto settled = co_await charge->settle(std::move(final));
      if (settled) {
        const std::lock_guard lock(mutex);
        told[id] = settled->amount;
      }
    }
  }

  void serve(std::uint64_t seed) {
    const auto principal = treasury->principals().authenticate(key_text, {});
    ASSERT_TRUE(principal);
    std::vector<std::future<void>> clients;
    for (std::uint64_t i = 0; i < 8; ++i) {
      clients.push_back(std::async(std::launch::async, [this, i, seed, who = *principal] {
        const auto work = [&] { return client(treasury, who, seed * 100 + i); };
        threads.run_on(1 + i % 2, work);
      }));
    }
    for (auto& one : clients) one.get();
  }
};

TEST_P(ChaosTest, NoToldRequestIsLostOrDoubledAndTheWalletAgrees) {
  Rng rng(GetParam());
  wallet = billing.add_wallet(money("0.05"));  // runs dry now and then
  key_id = SequentialBytes(78);
  billing.add_key(key_for(wallet));
  config.meter.lease_wait = std::chrono::milliseconds(100);
  config.journal.segment_bytes_max = 4'000;
  for (int life = 0; life < 12; ++life) {
    failures = 0;
    begin_and_wait();
    const Call kinds[] = {Call::kAcquire, Call::kReturn, Call::kSubmit};
    for (const Call kind : kinds) {
      billing.fail_next(kind, Error(Code::kUnavailable, "rpc_unavailable", ""), rng.below(2) == 0,
                        static_cast<int>(rng.below(4)));
    }
    if (rng.below(3) != 0) disk.fail_after_operations(rng.below(400));
    billing.top_up(wallet, money("0.02"));
    serve(rng.next());
    if (rng.below(4) == 0) {
      disk.clear_faults();
      if (drain()) continue;  // not clean when the journal failed before
    }
    disk.fail_after_operations(0);
    billing.set_down(true);
    end();
    if (rng.below(2) == 0) {
      disk.kill();
    } else {
      disk.cut_power(rng);
    }
    billing.set_down(false);
    for (const Call kind : kinds) billing.fail_next(kind, Error(), false, 0);
  }
  begin_and_wait();
  EXPECT_FALSE(log.has("epoch_stuck"));
  EXPECT_TRUE(drain());
  const std::lock_guard lock(mutex);
  EXPECT_GT(told.size(), 500u) << "too little happened for this to prove anything";
  for (const auto& [id, amount] : told) {
    const auto event = billing.event(id);
    ASSERT_TRUE(event) << id.to_string() << " was told its price and is not billed";
    EXPECT_EQ(event->amount(), amount.to_string());
  }
  EXPECT_TRUE(billing.reconcile().empty());
  EXPECT_TRUE(billing.wallet(wallet).leased.is_zero());
  EXPECT_EQ(billing.open_epochs(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChaosTest, testing::Range<std::uint64_t>(1, 5));

}  // namespace
}  // namespace tidegate::gateway
