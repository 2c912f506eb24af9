#include "base/redis/resp.h"

#include <hiredis/hiredis.h>

namespace tidegate {

namespace {

Error server_error(std::string message) {
  const std::string_view text = message;
  if (text.starts_with("NOSCRIPT")) return Error(Code::kFailedPrecondition, "redis_noscript", std::move(message));
  // The server cannot work now; nothing was done.
  for (const std::string_view busy : {"LOADING", "BUSY ", "MASTERDOWN", "READONLY", "CLUSTERDOWN", "NOAUTH", "OOM"}) {
    if (text.starts_with(busy)) return Error(Code::kUnavailable, "redis_down", std::move(message));
  }
  return Error(Code::kFailedPrecondition, "redis_error", std::move(message));
}

RedisReply convert(const redisReply& reply) {
  switch (reply.type) {
    case REDIS_REPLY_INTEGER: return RedisReply::of_integer(reply.integer);
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:  // inside an array, as EXEC may give: the caller sees its text
      return RedisReply::of_text(std::string(reply.str, reply.len));
    case REDIS_REPLY_ARRAY: {
      std::vector<RedisReply> items;
      items.reserve(reply.elements);
      for (std::size_t i = 0; i < reply.elements; ++i) items.push_back(convert(*reply.element[i]));
      return RedisReply::of_array(std::move(items));
    }
    default: return RedisReply::nil();
  }
}

}  // namespace

RedisReply RedisReply::of_integer(std::int64_t value) {
  RedisReply reply;
  reply.kind = Kind::kInteger;
  reply.integer = value;
  return reply;
}
RedisReply RedisReply::of_text(std::string value) {
  RedisReply reply;
  reply.kind = Kind::kText;
  reply.text = std::move(value);
  return reply;
}
RedisReply RedisReply::of_array(std::vector<RedisReply> values) {
  RedisReply reply;
  reply.kind = Kind::kArray;
  reply.items = std::move(values);
  return reply;
}

void append_command(std::string& out, const RedisArgs& args) {
  out += '*';
  out += std::to_string(args.size());
  out += "\r\n";
  for (const std::string& arg : args) {
    out += '$';
    out += std::to_string(arg.size());
    out += "\r\n";
    out += arg;
    out += "\r\n";
  }
}

struct RespReader::State {
  std::unique_ptr<redisReader, void (*)(redisReader*)> reader{redisReaderCreate(), redisReaderFree};
};

RespReader::RespReader() : state_(std::make_unique<State>()) {}
RespReader::~RespReader() = default;

void RespReader::feed(std::string_view bytes) {
  if (redisReaderFeed(state_->reader.get(), bytes.data(), bytes.size()) != REDIS_OK) is_broken_ = true;
}

std::optional<Result<RedisReply>> RespReader::next() {
  if (is_broken_) return std::nullopt;
  void* raw = nullptr;
  if (redisReaderGetReply(state_->reader.get(), &raw) != REDIS_OK) {
    is_broken_ = true;
    return std::nullopt;
  }
  if (raw == nullptr) return std::nullopt;
  const std::unique_ptr<void, void (*)(void*)> owned(raw, freeReplyObject);
  const auto& reply = *static_cast<redisReply*>(raw);
  if (reply.type == REDIS_REPLY_ERROR) return fail(server_error(std::string(reply.str, reply.len)));
  return convert(reply);
}

}  // namespace tidegate
