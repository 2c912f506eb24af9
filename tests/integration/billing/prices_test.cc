#include <fstream>
#include <sstream>

#include <pqxx/result>

#include "base/pg/pool.h"
#include "billing/adapters/price_store.h"
#include "tests/integration/billing/house.h"

namespace tidegate::billing {
namespace {

std::string shipped(const std::string& name) {
  std::ifstream file(TG_SOURCE_DIR "/models/prices/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class Prices : public House {
 protected:
  std::string book(const std::string& id, const std::string& from, const std::string& to, const std::string& output = "2") {
    return R"({"price_books": [{"id": ")" + id + R"(", "models": ["n"], "effective_from": ")" + from + R"(", "effective_to": )" +
           (to.empty() ? "null" : "\"" + to + "\"") +
           R"(, "schedules": [{"name": "standard", "default": true, "rates": {"USD": {"input_cache_hit": "0",
           "input_cache_miss": "1", "output": ")" + output + R"("}}}]}]})";
  }
  std::string in(std::chrono::minutes span) { return format_rfc3339(clock_.wall() + span); }
};

TEST_F(Prices, TheShippedListsLoadAndLoadingAgainChangesNothing) {
  for (const auto* file : {"deepseek.json", "tang-moe.json", "sim-fast.json"}) {
    const auto first = load_prices_file(shipped(file));
    ASSERT_TRUE(first) << file << ": " << first.error().to_string();
    EXPECT_GT(first->versions_added(), 0);
    const auto again = load_prices_file(shipped(file));
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(again->versions_added(), 0);
    EXPECT_EQ(again->versions_unchanged(), first->versions_added());
    EXPECT_EQ(again->calendars_added(), 0);
  }
  EXPECT_EQ(query("SELECT count(DISTINCT version) FROM calendars WHERE id = 'CN-2026'"), "1");
  v1::ListPricesRequest request;
  request.set_model("tang-moe");
  const auto now = admin(&AdminApi::ListPrices, request);
  ASSERT_EQ(now->prices_size(), 2);
  EXPECT_EQ(now->prices(0).schedules_size(), 2);
  request.set_model("deepseek-chat");
  EXPECT_EQ(admin(&AdminApi::ListPrices, request)->prices_size(), 0) << "retired";
  request.set_include_past(true);
  EXPECT_GT(admin(&AdminApi::ListPrices, request)->prices_size(), 0);
}

TEST_F(Prices, WhatIsStoredIsWhatWasPublished) {
  ASSERT_TRUE(load_prices_file(shipped("tang-moe.json")));
  restart();
  EXPECT_EQ(load_prices_file(shipped("tang-moe.json"))->versions_added(), 0) << "read back from the database, compared whole";
}

TEST_F(Prices, BadFilesAreRefusedWholeByName) {
  const std::string before = query("SELECT count(*) FROM price_versions");
  EXPECT_EQ(load_prices_file("{").error().reason, "invalid_json");
  std::string text = shipped("tang-moe.json");
  text.replace(text.find("Asia/Shanghai"), 13, "Asia/Peking");
  EXPECT_EQ(load_prices_file(text).error().field, "schedules[peak].tz");
  text = shipped("tang-moe.json");
  text.replace(text.find("14:00-18:00"), 11, "11:00-18:00");
  EXPECT_EQ(load_prices_file(text).error().reason, "bad_price");
  EXPECT_EQ(query("SELECT count(*) FROM price_versions"), before);
  EXPECT_EQ(query("SELECT count(*) FROM calendars WHERE id = 'CN-2026'"), "0");
}

TEST_F(Prices, APublishedPriceDoesNotChange) {
  ASSERT_TRUE(load_prices_file(book("n1", "2026-01-01T00:00:00Z", "")));
  EXPECT_EQ(load_prices_file(book("n1", "2026-01-01T00:00:00Z", "", "3")).error().reason, "bad_price");
  EXPECT_EQ(load_prices_file(book("n2", "2026-02-01T00:00:00Z", "", "3")).error().field, "effective_from");
}

TEST_F(Prices, AnEndMovesOnlyInTheFutureAndTheNextBookFollowsIt) {
  ASSERT_TRUE(load_prices_file(book("n1", "2026-01-01T00:00:00Z", "")));
  EXPECT_EQ(load_prices_file(book("n1", "2026-01-01T00:00:00Z", in(std::chrono::minutes(5)))).error().field, "effective_to")
      << "inside the lead time";
  const std::string end = in(std::chrono::minutes(60));
  EXPECT_EQ(load_prices_file(book("n1", "2026-01-01T00:00:00Z", end))->versions_ended(), 1);
  EXPECT_EQ(load_prices_file(book("n2", end, "", "3"))->versions_added(), 1);
  EXPECT_EQ(load_prices_file(book("n1", "2026-01-01T00:00:00Z", end))->versions_unchanged(), 1);
}

TEST_F(Prices, UsageIsRatedByAPricePublishedMeanwhileAtAnotherReplica) {
  const auto customer = make_customer("acme", "10");
  const auto epoch = open_epoch();
  const auto lease = accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, "1")).value();
  ASSERT_TRUE(submit(make_batch(epoch, {make_event(customer, lease, 1)}))) << "this replica has cached its book now";

  const auto other = start_replica();
  auto channel = rpc::make_channel(other->address(), {.token = config_.admin_key}).value();
  {
    rpc::Client<v1::BillingAdmin> client(channel);
    v1::LoadPricesRequest request;
    request.set_file_json(book("n1", "2026-01-01T00:00:00Z", ""));
    ASSERT_TRUE(client.call_blocking(&AdminApi::LoadPrices, request, soon()));
  }
  channel->shut();
  other->stop();
  ASSERT_TRUE(load_prices_file(book("n1", "2026-01-01T00:00:00Z", "")));
  auto event = make_event(customer, lease, 2);
  event.set_model("n");
  rate(event);
  const auto ack = submit(make_batch(epoch, {event}));
  ASSERT_TRUE(ack) << ack.error().to_string();
  expect_reconciled();
}

TEST_F(Prices, SqlFindsTheSameBandAsTheLibraryAllYear) {
  ASSERT_TRUE(load_prices_file(shipped("tang-moe.json")));
  ASSERT_TRUE(load_prices_file(R"({"price_books": [{"id": "b", "models": ["b"], "effective_from": "2026-01-01T00:00:00Z",
    "schedules": [{"name": "day", "default": true, "rates": {"USD": {"input_cache_hit": "1", "input_cache_miss": "1", "output": "1"}}},
    {"name": "night", "tz": "Europe/Berlin", "days": [5, 6], "windows": ["22:00-06:00"], "rates": {"USD": {"input_cache_hit": "0",
    "input_cache_miss": "0", "output": "0"}}},
    {"name": "sunday", "tz": "Europe/Berlin", "days": [7], "windows": ["06:00-24:00"], "rates": {"USD": {"input_cache_hit": "0",
    "input_cache_miss": "0", "output": "0"}}}]}]})"));
  pg::Pool pool({.connection = config_.pg_dsn, .connections = 1});
  const auto book = pool.run_blocking(soon(), load_prices).value().book;
  for (const auto& version : book.versions()) {
    pqxx::connection connection(config_.pg_dsn);
    pqxx::work tx(connection);
    const auto rows = tx.exec_params(
        "SELECT (extract(epoch FROM t) * 1000000)::bigint, band_in_force($1, t) FROM generate_series("
        "'2026-01-01 00:10:00+00'::timestamptz, '2026-12-31 23:00:00+00', '50 minutes') t", version.id);
    for (const auto& row : rows) {
      const Wall instant = wall_from_unix_micros(row[0].as<std::int64_t>());
      ASSERT_EQ(book.schedule_at(version, instant).name, row[1].c_str()) << version.book << " " << format_rfc3339(instant);
    }
  }
}

}  // namespace
}  // namespace tidegate::billing
