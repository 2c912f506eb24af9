#include "base/redis/script.h"

namespace tidegate {

awaitable<Status> Script::load(Redis& redis, Deadline deadline) {
  RedisArgs args{"SCRIPT", "LOAD", std::string(source_)};
  TG_CO_ASSIGN(RedisReply reply, co_await redis.command(std::move(args), deadline));
  digest_ = std::move(reply.text);
  co_return Status();
}

awaitable<Result<RedisReply>> Script::run(Redis& redis, RedisArgs keys, RedisArgs arguments, Deadline deadline) {
  if (digest_.empty()) {
    TG_CO_TRY(co_await load(redis, deadline));
  }
  RedisArgs args{"EVALSHA", digest_, std::to_string(keys.size())};
  for (auto& key : keys) args.push_back(std::move(key));
  for (auto& argument : arguments) args.push_back(std::move(argument));
  auto reply = co_await redis.command(args, deadline);
  if (reply || reply.error().reason != "redis_noscript") co_return reply;
  // NOSCRIPT means that nothing ran, so running it now cannot count twice.
  TG_CO_TRY(co_await load(redis, deadline));
  args[1] = digest_;
  co_return co_await redis.command(std::move(args), deadline);
}

}  // namespace tidegate
