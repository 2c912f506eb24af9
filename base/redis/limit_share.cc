#include "base/redis/limit_share.h"

namespace tidegate {

// KEYS[1] hash {window, used}; ARGV limit, want, least, window in ms. Returns {granted, left, reset in ms}.
const std::string_view LimitShares::kSource = R"(
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local limit, want, least, span = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local window = math.floor(now_ms / span)
local held = redis.call('HMGET', KEYS[1], 'window', 'used')
local used = 0
if tonumber(held[1]) == window then used = tonumber(held[2]) end
local granted = math.min(want, math.max(limit - used, 0))
if granted < least then granted = 0 end
if granted > 0 then
  redis.call('HSET', KEYS[1], 'window', window, 'used', used + granted)
  redis.call('PEXPIRE', KEYS[1], 2 * span)
end
return {granted, math.max(limit - used - granted, 0), (window + 1) * span - now_ms}
)";

awaitable<Result<LimitShare>> LimitShares::take(LimitShareRequest request, Deadline deadline) {
  if (request.limit < 1 || request.least < 1 || request.want < request.least || request.window.count() < 1) {
    co_return fail(Code::kInvalidArgument, "bad_limit_share",
                   "a share needs limit >= 1, want >= least >= 1 and a window of at least 1 ms");
  }
  RedisArgs keys{"tg:share:" + request.key};
  RedisArgs arguments{std::to_string(request.limit), std::to_string(request.want), std::to_string(request.least),
                      std::to_string(request.window.count())};
  auto reply = co_await script_.run(redis_, std::move(keys), std::move(arguments), deadline);
  if (!reply) co_return fail(std::move(reply).error());
  if (reply->items.size() != 3) co_return fail(Code::kInternal, "bad_reply", "the share script gave no three numbers");
  LimitShare share;
  share.granted = reply->items[0].integer;
  share.left = reply->items[1].integer;
  share.reset = std::chrono::milliseconds(reply->items[2].integer);
  co_return share;
}

}  // namespace tidegate
