#include <atomic>
#include <thread>

#include "tests/integration/billing/house.h"

namespace tidegate::billing {
namespace {

/// A database that is really flushed, and killed.
class Outage : public House {
 protected:
  static test::PgServer& durable_server() {
    static test::PgServer server(test::PgServer::Durability::kOn);
    return server;
  }
  Outage() : House(durable_server().create_database("outage")) {}
};

TEST_F(Outage, ALostAcknowledgementIsAskedForAgain) {
  const auto customer = make_customer("acme", "10");
  const auto epoch = open_epoch();
  const auto request = lease_request(customer, epoch, "1");
  const auto lease = accounts(&AccountsApi::AcquireLease, request).value();
  const auto batch = make_batch(epoch, {make_event(customer, lease, 1)});
  ASSERT_TRUE(submit(batch));
  restart();  // the answer is lost with the process
  EXPECT_EQ(submit(batch)->applied_through(), 1u);
  EXPECT_EQ(accounts(&AccountsApi::AcquireLease, request)->granted(), "1");
  EXPECT_EQ(wallet_of(customer).leased(), "0.99928");
  expect_reconciled();
}

TEST_F(Outage, KillingPostgresUnderLoadLosesAndDoublesNothing) {
  const auto customer = make_customer("acme", "100");
  const auto epoch = open_epoch();
  const auto lease = accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, "50")).value();
  constexpr std::uint64_t kBatches = 120, kEvents = 5;
  std::vector<v1::UsageBatch> batches;
  for (std::uint64_t b = 0; b < kBatches; ++b) {
    std::vector<v1::UsageEvent> events;
    for (std::uint64_t i = 1; i <= kEvents; ++i) events.push_back(make_event(customer, lease, b * kEvents + i));
    batches.push_back(make_batch(epoch, std::move(events)));
  }

  std::atomic<std::size_t> done = 0;
  std::thread gateway([&] {
    for (const auto& batch : batches) {
      // As a gateway does: the same batch until it is acknowledged.
      const Deadline give_up = Deadline::after(clock_.mono(), std::chrono::seconds(60));
      while (true) {
        const auto ack = submit(batch);
        if (ack) break;
        ASSERT_TRUE(ack.error().code == Code::kUnavailable || ack.error().code == Code::kDeadlineExceeded)
            << ack.error().to_string();
        ASSERT_FALSE(give_up.is_expired(clock_.mono()));
      }
      ++done;
    }
  });
  for (int kill = 1; kill <= 4; ++kill) {
    while (done < static_cast<std::size_t>(kill) * kBatches / 6) std::this_thread::yield();
    durable_server().kill9();
    durable_server().start();
  }
  gateway.join();
  EXPECT_EQ(query("SELECT count(*) FROM usage_events"), std::to_string(kBatches * kEvents));
  EXPECT_EQ(wallet_of(customer).balance(), "99.568");
  expect_reconciled();
}

}  // namespace
}  // namespace tidegate::billing
