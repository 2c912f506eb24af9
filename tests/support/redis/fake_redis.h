#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/core/clock.h"
#include "base/redis/redis.h"

namespace tidegate::test {

/// Redis in memory: PING, SET (NX, PX), GET, DEL, INCRBY, PTTL, SCRIPT LOAD/FLUSH and EVALSHA of scripts it was given a
/// model of. Time is the given clock. The contract test holds it against the real server. One thread.
class FakeRedis final : public Redis {
 public:
  explicit FakeRedis(const Clock& clock) : clock_(clock) {}

  awaitable<Result<RedisReply>> command(RedisArgs args, Deadline deadline) override;
  bool is_connected() const override { return is_connected_; }

  /// While false every command fails with unavailable/redis_down.
  void set_connected(bool connected) { is_connected_ = connected; }
  /// The next commands fail with these, in order; nothing is done.
  void fail_next(Error error) { failures_.push_back(std::move(error)); }
  /// The next command is done, but its caller is told redis_lost: the outcome nobody knows.
  void lose_next_reply() { lose_next_ = true; }
  /// As a restart without persistence.
  void forget_everything();

  int commands() const { return commands_; }

  using Keys = std::vector<std::string>;
  using Model = std::function<Result<RedisReply>(FakeRedis&, const Keys& keys, const Keys& arguments)>;
  /// What the fake does when a script with this source runs.
  void add_script(std::string source, Model model) { models_[std::move(source)] = std::move(model); }
  /// One command at once; for models.
  Result<RedisReply> run(const RedisArgs& args);

 private:
  struct Entry {
    std::string text;
    std::optional<std::int64_t> expires_ms;
  };
  Result<RedisReply> set(const RedisArgs& args);
  Result<RedisReply> increment(const RedisArgs& args);
  Result<RedisReply> script(const RedisArgs& args);
  Result<RedisReply> evaluate(const RedisArgs& args);
  Entry* find(const std::string& key);
  std::int64_t now_ms() const { return unix_micros(clock_.wall()) / 1000; }

  const Clock& clock_;
  bool is_connected_ = true;
  bool lose_next_ = false;
  int commands_ = 0;
  std::deque<Error> failures_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, Model> models_;         ///< by source
  std::map<std::string, std::string> loaded_;  ///< digest to source
};

}  // namespace tidegate::test
