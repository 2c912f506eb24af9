#include "billing/adapters/usage_partitions.h"

#include "base/pg/pool.h"
#include "tests/integration/billing/house.h"

namespace tidegate::billing {
namespace {

class Partitions : public House {
 protected:
  Partitions() : customer_(make_customer("acme", "10")), epoch_(open_epoch()) {
    lease_ = accounts(&AccountsApi::AcquireLease, lease_request(customer_, epoch_, "1")).value();
  }
  /// An event whose id was minted at `at`.
  v1::UsageEvent event_of(const std::string& at, std::uint64_t sequence) {
    auto event = make_event(customer_, lease_, sequence);
    Uuid id = ids_.next();
    const std::int64_t millis = unix_micros(parse_rfc3339(at).value()) / 1000;
    for (std::size_t b = 0; b < 6; ++b) id.bytes[b] = static_cast<std::uint8_t>(millis >> (40 - 8 * b));
    event.set_request_id(std::string(id.raw()));
    return event;
  }
  /// What the job does when it is `now` and `months` are kept.
  void tend(const std::string& now, int months) {
    pg::Pool pool({.connection = config_.pg_dsn, .connections = 1});
    const Wall at = parse_rfc3339(now).value();
    const auto expired = pool.run_blocking(soon(), [&](pqxx::work& tx) -> Result<int> {
      expire_usage(tx, at, months);
      return make_usage_partitions(tx, at, 1);
    });
    ASSERT_TRUE(expired) << expired.error().to_string();
    const auto dropped = pool.run_blocking(soon(), [&](pqxx::work& tx) -> Result<int> {
      for (const auto& name : expired_usage_partitions(tx)) drop_usage_partition(tx, name);
      return 0;
    });
    ASSERT_TRUE(dropped) << dropped.error().to_string();
  }

  Customer customer_;
  std::uint64_t epoch_;
  v1::Lease lease_;
};

TEST_F(Partitions, EventsOnBothSidesOfAMonthAreFoundAgain) {
  const auto batch = make_batch(epoch_, {event_of("2026-09-30T23:59:59.999Z", 1), event_of("2026-10-01T00:00:00Z", 2),
                                         event_of("2026-11-01T00:00:00Z", 3)});
  EXPECT_EQ(submit(batch)->applied_through(), 3u);
  EXPECT_EQ(query("SELECT count(DISTINCT tableoid) FROM usage_log"), "3");
  EXPECT_EQ(submit(batch)->applied_through(), 3u);
  const std::uint64_t next = open_epoch();
  auto late = batch.events(0);
  EXPECT_EQ(submit(make_batch(next, {late}))->applied_through(), 1u) << "known in a later epoch too";
  EXPECT_EQ(query("SELECT count(*) FROM usage_log"), "3");
  expect_reconciled();
}

TEST_F(Partitions, ADroppedMonthLeavesItsSumsAndRefusesItsIds) {
  const auto old = event_of("2026-08-15T00:00:00Z", 1);
  ASSERT_TRUE(submit(make_batch(epoch_, {old, event_of("2026-11-15T00:00:00Z", 2)})));
  const std::string hours = query("SELECT string_agg(h::text, ' ' ORDER BY meter) FROM usage_hourly h");
  tend("2026-11-22T00:00:00Z", 2);
  EXPECT_EQ(query("SELECT count(*) FROM usage_log"), "1");
  EXPECT_EQ(query("SELECT string_agg(h::text, ' ' ORDER BY meter) FROM usage_hourly h"), hours);
  expect_reconciled();
  const auto refused = submit(make_batch(open_epoch(), {old}));
  EXPECT_EQ(refused.error().reason, "id_expired");
  EXPECT_EQ(refused.error().field, "events[0].request_id");
  tend("2026-11-22T00:00:00Z", 2);
  expect_reconciled();
}

TEST_F(Partitions, AMonthThatIsKeptIsNotDropped) {
  ASSERT_TRUE(submit(make_batch(epoch_, {event_of("2026-10-15T00:00:00Z", 1)})));
  tend("2026-11-22T00:00:00Z", 1);
  EXPECT_EQ(query("SELECT count(*) FROM usage_log"), "1");
  pg::Pool pool({.connection = config_.pg_dsn, .connections = 1});
  const auto refused = pool.run_blocking(
      soon(), [](pqxx::work& tx) -> Result<std::int64_t> { return drop_usage_partition(tx, "usage_log_2026_10"); });
  EXPECT_EQ(refused.error().reason, "check_violation");
}

TEST_F(Partitions, RetentionNeverMovesBack) {
  tend("2026-11-22T00:00:00Z", 1);
  tend("2026-11-22T00:00:00Z", 12);
  EXPECT_EQ(query("SELECT kept_from AT TIME ZONE 'UTC' FROM usage_retention"), "2026-10-01 00:00:00");
}

TEST_F(Partitions, IdsFromTheFutureOrWithoutATimeAreRefused) {
  const Wall later = clock_.wall() + std::chrono::hours(25);
  EXPECT_EQ(submit(make_batch(epoch_, {event_of(format_rfc3339(later), 1)})).error().reason, "id_in_future");
  auto event = make_event(customer_, lease_, 1);
  std::string id = event.request_id();
  id[6] = static_cast<char>(0x40 | (id[6] & 15));
  event.set_request_id(id);
  EXPECT_EQ(submit(make_batch(epoch_, {event})).error().field, "events[0].request_id");
}

}  // namespace
}  // namespace tidegate::billing
