#include "tests/support/redis/fake_redis.h"

#include <charconv>

namespace tidegate::test {

namespace {

std::unexpected<Error> refuse(std::string message) {
  return fail(Code::kFailedPrecondition, "redis_error", std::move(message));
}

std::optional<std::int64_t> to_integer(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

awaitable<Result<RedisReply>> FakeRedis::command(RedisArgs args, Deadline) {
  ++commands_;
  if (!is_connected_) co_return fail(Code::kUnavailable, "redis_down", "the fake is set to be down");
  if (!failures_.empty()) {
    Error error = std::move(failures_.front());
    failures_.pop_front();
    co_return fail(std::move(error));
  }
  auto reply = run(args);
  if (lose_next_) {
    lose_next_ = false;
    co_return fail(Code::kUnavailable, "redis_lost", "the fake lost this reply");
  }
  co_return reply;
}

void FakeRedis::forget_everything() {
  entries_.clear();
  loaded_.clear();
}

FakeRedis::Entry* FakeRedis::find(const std::string& key) {
  const auto at = entries_.find(key);
  if (at == entries_.end()) return nullptr;
  if (at->second.expires_ms && *at->second.expires_ms <= now_ms()) {
    entries_.erase(at);
    return nullptr;
  }
  return &at->second;
}

Result<RedisReply> FakeRedis::run(const RedisArgs& args) {
  const std::string& name = args.at(0);
  if (name == "PING") return RedisReply::of_text("PONG");
  if (name == "SET" && args.size() >= 3) return set(args);
  if (name == "INCRBY" && args.size() == 3) return increment(args);
  if (name == "SCRIPT" && args.size() >= 2) return script(args);
  if (name == "EVALSHA" && args.size() >= 3) return evaluate(args);
  if (args.size() != 2) return refuse("ERR unknown command '" + name + "' or wrong number of arguments");
  Entry* entry = find(args[1]);
  if (name == "GET") {
    if (entry == nullptr) return RedisReply::nil();
    return RedisReply::of_text(entry->text);
  }
  if (name == "DEL") return RedisReply::of_integer(static_cast<std::int64_t>(entries_.erase(args[1])));
  if (name == "PTTL") {
    if (entry == nullptr) return RedisReply::of_integer(-2);
    return RedisReply::of_integer(entry->expires_ms ? *entry->expires_ms - now_ms() : -1);
  }
  return refuse("ERR unknown command '" + name + "'");
}

Result<RedisReply> FakeRedis::set(const RedisArgs& args) {
  Entry entry;
  entry.text = args[2];
  for (std::size_t i = 3; i < args.size(); ++i) {
    if (args[i] == "NX") {
      if (find(args[1]) != nullptr) return RedisReply::nil();
    } else if (args[i] == "PX" && i + 1 < args.size()) {
      const auto span = to_integer(args[++i]);
      if (!span || *span <= 0) return refuse("ERR invalid expire time in 'set' command");
      entry.expires_ms = now_ms() + *span;
    } else {
      return refuse("ERR syntax error");
    }
  }
  entries_[args[1]] = std::move(entry);
  return RedisReply::of_text("OK");
}

Result<RedisReply> FakeRedis::increment(const RedisArgs& args) {
  find(args[1]);
  Entry& entry = entries_[args[1]];
  const auto held = entry.text.empty() ? 0 : to_integer(entry.text);
  const auto step = to_integer(args[2]);
  if (!held || !step) return refuse("ERR value is not an integer or out of range");
  entry.text = std::to_string(*held + *step);
  return RedisReply::of_integer(*held + *step);
}

Result<RedisReply> FakeRedis::script(const RedisArgs& args) {
  if (args[1] == "FLUSH") {
    loaded_.clear();
    return RedisReply::of_text("OK");
  }
  if (args[1] != "LOAD" || args.size() != 3) return refuse("ERR unknown subcommand");
  const std::string digest = "fake-" + std::to_string(std::hash<std::string>()(args[2]));
  loaded_[digest] = args[2];
  return RedisReply::of_text(digest);
}

Result<RedisReply> FakeRedis::evaluate(const RedisArgs& args) {
  const auto source = loaded_.find(args[1]);
  if (source == loaded_.end()) {
    return fail(Code::kFailedPrecondition, "redis_noscript", "NOSCRIPT No matching script. Please use EVAL.");
  }
  const auto model = models_.find(source->second);
  if (model == models_.end()) return refuse("the fake has no model of this script: add_script()");
  const auto keys = static_cast<std::ptrdiff_t>(to_integer(args[2]).value_or(0));
  const auto first = args.begin() + 3;
  return model->second(*this, Keys(first, first + keys), Keys(first + keys, args.end()));
}

}  // namespace tidegate::test
