#include <atomic>
#include <thread>

#include "tests/integration/billing/house.h"

namespace tidegate::billing {
namespace {

class Lease : public House {
 protected:
  Result<v1::Lease> acquire(v1::AcquireLeaseRequest request) {
    return accounts(&AccountsApi::AcquireLease, std::move(request));
  }
  Result<v1::Lease> give_back(const v1::Lease& lease, const std::string& amount, std::uint64_t epoch,
                              const std::string& return_id) {
    v1::ReturnLeaseRequest request;
    request.set_gateway_id("g1");
    request.set_epoch(epoch);
    request.set_lease_id(lease.lease_id());
    request.set_amount(amount);
    request.set_return_id(return_id);
    return accounts(&AccountsApi::ReturnLease, std::move(request));
  }
  Status close(std::uint64_t epoch, std::uint64_t last, const std::string& gateway = "g1") {
    v1::CloseEpochRequest request;
    request.set_gateway_id(gateway);
    request.set_epoch(epoch);
    request.set_last_sequence(last);
    auto closed = accounts(&AccountsApi::CloseEpoch, std::move(request));
    if (!closed) return fail(closed.error());
    return {};
  }
};

TEST_F(Lease, TakesMoneyOutOfTheWalletAndGrows) {
  const auto customer = make_customer("acme", "10");
  const auto epoch = open_epoch();
  const auto first = acquire(lease_request(customer, epoch, "2"));
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(first->granted(), "2");
  EXPECT_EQ(first->wallet_available(), "8");
  const auto second = acquire(lease_request(customer, epoch, "1.5"));
  EXPECT_EQ(second->lease_id(), first->lease_id()) << "one lease per epoch and wallet";
  EXPECT_EQ(second->amount(), "3.5");
  EXPECT_GT(second->expires_us(), unix_micros(clock_.wall()));
  EXPECT_EQ(wallet_of(customer).leased(), "3.5");
  expect_reconciled();
}

TEST_F(Lease, TheSameGrantMovesMoneyOnce) {
  const auto customer = make_customer("acme", "10");
  const auto epoch = open_epoch();
  const auto request = lease_request(customer, epoch, "2");
  EXPECT_EQ(acquire(request)->granted(), "2");
  EXPECT_EQ(acquire(request)->granted(), "2");
  EXPECT_EQ(wallet_of(customer).leased(), "2");
  auto other = lease_request(make_customer("other", "10"), epoch, "2");
  other.set_grant_id(request.grant_id());
  EXPECT_EQ(acquire(other).error().reason, "grant_differs");
  expect_reconciled();
}

TEST_F(Lease, WantIsCutToAShareAndLeastIsGivenWhileItLasts) {
  const auto customer = make_customer("acme", "10");
  const auto epoch = open_epoch();
  open_epoch("g2");
  EXPECT_EQ(acquire(lease_request(customer, epoch, "100", "1"))->granted(), "2.5") << "available / 2G";
  EXPECT_EQ(acquire(lease_request(customer, epoch, "7", "7"))->granted(), "7");
  const auto refused = acquire(lease_request(customer, epoch, "1", "0.6"));
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_EQ(refused.error().reason, "insufficient_balance");
  EXPECT_EQ(acquire(lease_request(customer, epoch, "1", "0.5"))->wallet_available(), "0");
  expect_reconciled();
}

TEST_F(Lease, ConcurrentGatewaysNeverGetMoreThanTheWalletHolds) {
  const auto customer = make_customer("acme", "1");
  std::vector<std::uint64_t> epochs;
  for (int g = 0; g < 4; ++g) epochs.push_back(open_epoch("g" + std::to_string(g)));
  std::atomic<int> granted = 0, refused = 0, failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&, i] {
      const std::string gateway = "g" + std::to_string(i % 4);
      const auto lease = acquire(lease_request(customer, epochs[static_cast<std::size_t>(i % 4)], "0.03", "0.03", gateway));
      if (lease) {
        ++granted;
      } else if (lease.error().reason == "insufficient_balance") {
        ++refused;
      } else {
        ++failed;
        ADD_FAILURE() << lease.error().to_string();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(granted, 33) << "33 x 0.03 fit into 1";
  EXPECT_EQ(refused, 31);
  EXPECT_EQ(wallet_of(customer).available(), "0.01");
  expect_reconciled();
}

TEST_F(Lease, AReturnGivesBackOnceAndNeverMoreThanIsUnspent) {
  const auto customer = make_customer("acme", "10");
  const auto epoch = open_epoch();
  const auto lease = acquire(lease_request(customer, epoch, "2")).value();
  ASSERT_TRUE(submit(make_batch(epoch, {make_event(customer, lease, 1)})));  // 0.00072
  const std::string id = raw_uuid();
  EXPECT_EQ(give_back(lease, "1.5", epoch, id)->granted(), "-1.5");
  EXPECT_EQ(give_back(lease, "1.5", epoch, id)->amount(), "0.5");
  EXPECT_EQ(give_back(lease, "1", epoch, id).error().reason, "return_differs");
  EXPECT_EQ(give_back(lease, "0.5", epoch, raw_uuid()).error().reason, "lease_overdrawn");
  EXPECT_EQ(give_back(lease, "0.49928", epoch, raw_uuid())->amount(), "0.00072");
  EXPECT_EQ(give_back(lease, "0", epoch, raw_uuid()).error().reason, "bad_amount");
  EXPECT_EQ(wallet_of(customer).leased(), "0");
  EXPECT_EQ(wallet_of(customer).available(), "9.99928");
  expect_reconciled();
}

TEST_F(Lease, EpochsGrowAndTheSameBootGetsTheSameOne) {
  const auto request = epoch_request("g1");
  EXPECT_EQ(accounts(&AccountsApi::OpenEpoch, request)->epoch(), 1u);
  EXPECT_EQ(accounts(&AccountsApi::OpenEpoch, request)->epoch(), 1u);
  const auto next = accounts(&AccountsApi::OpenEpoch, epoch_request("g1"));
  EXPECT_EQ(next->epoch(), 2u);
  ASSERT_EQ(next->unclosed_size(), 1);
  EXPECT_EQ(next->unclosed(0).epoch(), 1u);
  EXPECT_EQ(accounts(&AccountsApi::OpenEpoch, epoch_request("g2"))->epoch(), 1u);
}

TEST_F(Lease, ClosingAnEpochReturnsWhatItsLeasesHold) {
  const auto customer = make_customer("acme", "10");
  const auto epoch = open_epoch();
  const auto lease = acquire(lease_request(customer, epoch, "2")).value();
  ASSERT_TRUE(submit(make_batch(epoch, {make_event(customer, lease, 1)})));
  const auto early = close(epoch, 0);
  EXPECT_EQ(early.error().reason, "sequence_gap");
  EXPECT_EQ(close(epoch, 2).error().reason, "sequence_gap");
  ASSERT_TRUE(close(epoch, 1));
  ASSERT_TRUE(close(epoch, 1)) << "twice does nothing";
  EXPECT_EQ(wallet_of(customer).leased(), "0");
  EXPECT_EQ(wallet_of(customer).balance(), "9.99928");
  EXPECT_EQ(acquire(lease_request(customer, epoch, "1")).error().reason, "epoch_closed");
  EXPECT_EQ(submit(make_batch(epoch, {make_event(customer, lease, 2)})).error().reason, "epoch_closed");
  EXPECT_EQ(give_back(lease, "0.1", epoch, raw_uuid()).error().reason, "lease_closed");
  EXPECT_EQ(close(9, 0).error().reason, "unknown_epoch");
  expect_reconciled();
}

TEST_F(Lease, CreditLimitIsSpendableAndIsTheEnd) {
  v1::CreateTenantRequest tenant;
  tenant.set_name("post");
  tenant.set_credit_limit("3");
  Customer customer;
  customer.tenant = admin(&AdminApi::CreateTenant, tenant).value();
  const auto epoch = open_epoch();
  EXPECT_EQ(acquire(lease_request(customer, epoch, "3"))->wallet_available(), "0");
  EXPECT_EQ(acquire(lease_request(customer, epoch, "0.000000000001")).error().reason, "insufficient_balance");
  expect_reconciled();
}

TEST_F(Lease, UsageAndLeasesOfOneWalletRunTogether) {
  const auto customer = make_customer("acme", "100");
  std::vector<std::thread> threads;
  for (int g = 0; g < 4; ++g) {
    threads.emplace_back([&, g] {
      const std::string gateway = "g" + std::to_string(g);
      const auto epoch = open_epoch(gateway);
      v1::Lease lease;
      for (std::uint64_t n = 0; n < 10; ++n) {
        auto grown = acquire(lease_request(customer, epoch, "0.1", "0.01", gateway));
        ASSERT_TRUE(grown) << grown.error().to_string();
        lease = *grown;
        std::vector<v1::UsageEvent> events;
        for (std::uint64_t i = 1; i <= 5; ++i) {
          v1::UsageEvent event;
          {
            static std::mutex rating;  // the helper's book is not shared between threads
            const std::lock_guard lock(rating);
            event = make_event(customer, lease, n * 5 + i);
          }
          events.push_back(std::move(event));
        }
        const auto ack = submit(make_batch(epoch, std::move(events), gateway));
        ASSERT_TRUE(ack) << ack.error().to_string();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(query("SELECT count(*) FROM usage_events"), "200");
  EXPECT_EQ(wallet_of(customer).balance(), "99.856");
  expect_reconciled();
}

}  // namespace
}  // namespace tidegate::billing
