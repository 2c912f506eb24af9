#include "base/pg/notify.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <pqxx/connection>
#include <pqxx/nontransaction>

#include "tests/support/eventually.h"
#include "tests/support/pg/pg_server.h"

namespace tidegate::pg::notify_test {
namespace {

class Inbox {
 public:
  Listener::Callback callback() {
    return [this](std::string_view channel, std::string_view payload) {
      const std::lock_guard lock(mutex_);
      if (channel.empty()) {
        ++polls_;
      } else {
        last_ = std::string(channel) + ":" + std::string(payload);
      }
    };
  }
  bool has(const std::string& wanted) const {
    const std::lock_guard lock(mutex_);
    return last_ == wanted;
  }
  int polls() const {
    const std::lock_guard lock(mutex_);
    return polls_;
  }

 private:
  mutable std::mutex mutex_;
  std::string last_;
  int polls_ = 0;
};

ListenerOptions options_for(const std::string& connection) {
  ListenerOptions options;
  options.connection = connection;
  options.channels = {"accounts", "prices"};
  options.poll = std::chrono::minutes(10);
  return options;
}

void notify(const std::string& connection_string, const std::string& channel, const std::string& payload) {
  pqxx::connection connection(connection_string);
  pqxx::nontransaction session(connection);
  session.exec("NOTIFY " + channel + ", '" + payload + "'");
}

TEST(Notify, ArrivesWithChannelAndPayload) {
  const auto database = test::fresh_database();
  Inbox inbox;
  Listener listener(options_for(database), inbox.callback());
  ASSERT_TRUE(test::eventually([&] { return listener.is_connected(); }));
  notify(database, "prices", "book-7");
  EXPECT_TRUE(test::eventually([&] { return inbox.has("prices:book-7"); }));
}

TEST(Notify, ConnectionStartsWithALookAtTheTable) {
  Inbox inbox;
  Listener listener(options_for(test::fresh_database()), inbox.callback());
  EXPECT_TRUE(test::eventually([&] { return inbox.polls() == 1; }));
}

TEST(Notify, PollComesWithoutNotifications) {
  auto options = options_for(test::fresh_database());
  options.poll = std::chrono::milliseconds(5);
  Inbox inbox;
  Listener listener(options, inbox.callback());
  EXPECT_TRUE(test::eventually([&] { return inbox.polls() >= 5; }));
}

TEST(Notify, SurvivesARestartAndLooksAgain) {
  test::PgServer server;
  const auto database = server.create_database();
  Inbox inbox;
  Listener listener(options_for(database), inbox.callback());
  ASSERT_TRUE(test::eventually([&] { return listener.is_connected(); }));
  server.kill9();
  EXPECT_TRUE(test::eventually([&] { return !listener.is_connected(); }));
  server.start();
  EXPECT_TRUE(test::eventually([&] { return listener.is_connected() && inbox.polls() == 2; }));
  notify(database, "accounts", "again");
  EXPECT_TRUE(test::eventually([&] { return inbox.has("accounts:again"); }));
}

TEST(Notify, StopsPromptlyWithNoDatabaseThere) {
  auto options = options_for("host=/nonexistent user=nobody dbname=none");
  options.reconnect_least = options.reconnect_most = std::chrono::minutes(1);
  Inbox inbox;
  const auto started = std::chrono::steady_clock::now();
  { Listener listener(options, inbox.callback()); }
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(10));
}

}  // namespace
}  // namespace tidegate::pg::notify_test
