#include <gtest/gtest.h>

#include "tests/unit/gateway/money/money_world.h"

namespace tidegate::gateway {
namespace {

using test::eventually;
using test::FakeBilling;
using test::money;
using Call = FakeBilling::Call;

struct RecoveryTest : test::MoneyWorld {
  /// The process dies here, with these requests in flight: nothing more reaches the disk or billing.
  template <typename... Charges>
  void crash(Charges&... in_flight) {
    disk.fail_after_operations(0);
    billing.set_down(true);
    (in_flight->reset(), ...);
    drain(Duration::zero());
    disk.kill();
    billing.set_down(false);
  }
  std::size_t journal_entries() { return disk.list("/journal")->size(); }
};

TEST_F(RecoveryTest, ACleanEndClosesTheEpochAndLeavesNothing) {
  begin_and_wait();
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  ASSERT_TRUE(settle(**charge, report(1, 1)));
  charge->reset();
  EXPECT_TRUE(drain());
  EXPECT_EQ(billing.open_epochs(), 0u);
  EXPECT_TRUE(billing.wallet(wallet).leased.is_zero());
  EXPECT_EQ(journal_entries(), 0u);
}

TEST_F(RecoveryTest, AFinishedRequestThatWasNotShippedIsBilledByTheNextLife) {
  begin_and_wait();
  billing.fail_next(Call::kSubmit, Error(Code::kUnavailable, "rpc_unavailable", ""), false, 1'000'000);
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  ASSERT_TRUE(settle(**charge, report(3, 4)));
  charge->reset();
  crash();
  billing.fail_next(Call::kSubmit, Error(), false, 0);
  ASSERT_TRUE(billing.events().empty());
  begin_and_wait();
  ASSERT_EQ(billing.events().size(), 1u);
  EXPECT_EQ(billing.events()[0].amount(), "0.000007");
  EXPECT_TRUE(billing.wallet(wallet).leased.is_zero()) << "the old epoch's lease is back before anything is admitted";
  EXPECT_EQ(billing.open_epochs(), 1u);
}

TEST_F(RecoveryTest, ACutStreamIsSettledAtWhatTheClientHasForCertain) {
  begin_and_wait();
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  const RequestId id = test::request_id(next_request - 1);
  (*charge)->on_accepted({.prompt = 10, .cached = 0, .completion = 0, .reasoning = 0}, "worker-1");
  for (int tokens = 1; tokens <= 200; ++tokens) {
    (*charge)->on_progress({.prompt = 10, .cached = 0, .completion = tokens, .reasoning = 0});
  }
  auto later = admit(request());
  ASSERT_TRUE(later && settle(**later, report(1, 1))) << "what is on disk has everything before it on disk";
  crash(charge, later);
  begin_and_wait();
  const auto event = billing.event(id);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->status(), v1::USAGE_STATUS_INTERRUPTED);
  EXPECT_GE(event->completion_tokens(), 200 - 64 - 1);
  EXPECT_LT(event->completion_tokens(), 200) << "the last report may never have left";
  EXPECT_EQ(event->worker_id(), "worker-1");
  EXPECT_TRUE(billing.reconcile().empty());
  EXPECT_TRUE(billing.wallet(wallet).leased.is_zero());
}

TEST_F(RecoveryTest, WithoutProgressOrUnaryACutRequestIsVoid) {
  begin_and_wait();
  auto stream = admit(request());
  AdmissionRequest unary = request();
  unary.is_stream = false;
  auto whole = admit(unary);
  ASSERT_TRUE(stream && whole);
  for (int tokens = 1; tokens <= 200; ++tokens) {
    (*whole)->on_progress({.prompt = 10, .cached = 0, .completion = tokens, .reasoning = 0});
  }
  crash(stream, whole);
  begin_and_wait();
  EXPECT_TRUE(billing.events().empty());
  EXPECT_EQ(metric("tidegate_gateway_recovery_requests_total", {{"outcome", "void"}}), 2);
  EXPECT_TRUE(billing.wallet(wallet).leased.is_zero());
}

TEST_F(RecoveryTest, BillingAwayAtStartIsWaitedFor) {
  billing.set_down(true);
  begin();
  ASSERT_TRUE(eventually([&] { return log.has("epoch_not_opened"); }));
  EXPECT_FALSE(treasury->ready());
  billing.set_down(false);
  EXPECT_TRUE(eventually([&] { return treasury->ready().has_value(); }));
}

TEST_F(RecoveryTest, ALostAnswerToOpenEpochLeavesNoOrphan) {
  billing.fail_next(Call::kOpenEpoch, Error(Code::kUnavailable, "rpc_unavailable", ""), /*is_done=*/true, 1);
  begin_and_wait();
  EXPECT_EQ(billing.open_epochs(), 1u);
}

TEST_F(RecoveryTest, ACrashAfterOpenEpochReusesItsBootId) {
  billing.fail_next(Call::kOpenEpoch, Error(Code::kUnavailable, "rpc_unavailable", ""), /*is_done=*/true, 1'000'000);
  begin();
  ASSERT_TRUE(eventually([&] { return billing.open_epochs() == 1; }));
  crash();
  billing.fail_next(Call::kOpenEpoch, Error(), false, 0);
  begin_and_wait();
  EXPECT_EQ(billing.open_epochs(), 1u);
  EXPECT_EQ(treasury->epoch(), 1u);
}

TEST_F(RecoveryTest, AMissingJournalKeepsItsLeaseInQuarantine) {
  begin_and_wait();
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  const Money leased = billing.wallet(wallet).leased;
  crash(charge);
  ASSERT_TRUE(disk.rename("/journal/epoch-1", "/lost"));
  begin_and_wait();
  EXPECT_TRUE(log.has("epoch_journal_missing"));
  EXPECT_EQ(metric("tidegate_gateway_recovery_stuck_epochs_count"), 1);
  EXPECT_EQ(billing.wallet(wallet).leased, leased);
  EXPECT_EQ(billing.open_epochs(), 2u);
}

TEST_F(RecoveryTest, ADamagedJournalIsLeftForAPersonAndTheGatewayServes) {
  begin_and_wait();
  for (int i = 0; i < 3; ++i) {
    auto charge = admit(request());
    ASSERT_TRUE(charge);
    ASSERT_TRUE(settle(**charge, report(1, 1)));
  }
  ASSERT_TRUE(eventually([&] { return billing.events().size() == 3; }));
  crash();
  const std::string path = "/journal/epoch-1/00000001.tgj";
  std::string bytes = disk.content(path);
  bytes[200] ^= 1;
  disk.overwrite(path, bytes);
  begin_and_wait();
  EXPECT_TRUE(log.has("epoch_stuck"));
  EXPECT_EQ(disk.content(path), bytes);
  EXPECT_EQ(metric("tidegate_gateway_recovery_stuck_epochs_count"), 1);
  EXPECT_TRUE(admit(request()));
}

TEST_F(RecoveryTest, TwoGatewaysCannotShareAJournal) {
  begin_and_wait();
  const auto first = treasury;
  TreasuryParts parts{billing, disk, clock, entropy, *registry, log, threads.executor(0), {}};
  EXPECT_EQ(Treasury::open(config, std::move(parts)).error().reason, "journal_locked");
}

TEST_F(RecoveryTest, RecoveryItselfMayBeCutAnywhere) {
  // One finished, unshipped request and one cut stream; then lives that each end one disk operation later.
  begin_and_wait();
  billing.fail_next(Call::kSubmit, Error(Code::kUnavailable, "rpc_unavailable", ""), false, 1'000'000);
  auto finished = admit(request());
  auto cut = admit(request());
  ASSERT_TRUE(finished && cut);
  (*cut)->on_accepted({.prompt = 10, .cached = 0, .completion = 0, .reasoning = 0}, "w");
  for (int tokens = 1; tokens <= 100; ++tokens) {
    (*cut)->on_progress({.prompt = 10, .cached = 0, .completion = tokens, .reasoning = 0});
  }
  ASSERT_TRUE(settle(**finished, report(3, 4)));
  crash(finished, cut);
  billing.fail_next(Call::kSubmit, Error(), false, 0);
  Rng rng(5);
  for (std::size_t operations = 0; operations < 60; ++operations) {
    disk.fail_after_operations(operations);
    if (try_begin()) {
      ASSERT_TRUE(eventually([&] { return failures > 0 || treasury->ready(); })) << operations;
      disk.fail_after_operations(0);
      drain(Duration::zero());
    }
    if (operations % 2 == 0) {
      disk.cut_power(rng);
    } else {
      disk.kill();
    }
    failures = 0;
  }
  begin_and_wait();
  ASSERT_EQ(billing.events().size(), 2u);
  EXPECT_TRUE(billing.reconcile().empty());
  EXPECT_TRUE(billing.wallet(wallet).leased.is_zero());
  EXPECT_EQ(billing.open_epochs(), 1u);
}

}  // namespace
}  // namespace tidegate::gateway
