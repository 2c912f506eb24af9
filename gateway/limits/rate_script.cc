#include "gateway/limits/rate_script.h"

#include <utility>

namespace tidegate::gateway {
namespace {

/// A gateway that has not been heard of for so long does not count.
constexpr std::int64_t kPresenceMs = 5'000;
constexpr std::size_t kHeadOfReply = 2;
constexpr std::size_t kNumbersPerAnswer = 3;

std::string_view letter_of(RateMeter meter) {
  switch (meter) {
    case RateMeter::kRequests: return "r";
    case RateMeter::kTokens: return "t";
    case RateMeter::kDailyTokens: return "d";
    case RateMeter::kConcurrency: return "c";
  }
  return "";
}

std::string key_of(const RateKey& key) {
  std::string out = "tg:limit:";
  out += key.rule.to_string();
  out += ':';
  out += letter_of(key.meter);
  return out;
}

RedisArgs keys_of(const RateCall& call) {
  RedisArgs keys;
  keys.reserve(1 + call.asks.size());
  keys.emplace_back("tg:limit:gateways");
  for (const RateAsk& ask : call.asks) keys.push_back(key_of(ask.key));
  return keys;
}

/// Behind what the script wants to know of this gateway.
void add_asks(const RateCall& call, RedisArgs& arguments) {
  for (const RateAsk& ask : call.asks) {
    arguments.push_back(std::to_string(ask.group));
    arguments.push_back(std::to_string(ask.span_ms));
    arguments.push_back(std::to_string(ask.limit));
    arguments.push_back(std::to_string(ask.mark));
    arguments.push_back(std::to_string(ask.adjust));
    arguments.push_back(std::to_string(ask.least));
    arguments.push_back(std::to_string(ask.want));
  }
}

Result<RateReply> read_reply(const RedisReply& reply, std::size_t asks) {
  const std::vector<RedisReply>& items = reply.items;
  bool is_good = items.size() == kHeadOfReply + asks * kNumbersPerAnswer;
  for (const RedisReply& item : items) is_good = is_good && item.kind == RedisReply::Kind::kInteger;
  if (!is_good) return fail(Code::kInternal, "bad_reply", "the script of limits did not answer as it is written");
  RateReply out;
  out.server_ms = items[0].integer;
  out.gateways = items[1].integer;
  out.answers.reserve(asks);
  for (std::size_t i = kHeadOfReply; i < items.size(); i += kNumbersPerAnswer) {
    RateAnswer answer;
    answer.window = items[i].integer;
    answer.granted = items[i + 1].integer;
    answer.left = items[i + 2].integer;
    out.answers.push_back(answer);
  }
  return out;
}

}  // namespace

// KEYS[1] who lives: gateway -> "epoch expires". KEYS[2..] one for each entry.
// ARGV gateway, epoch, life of slots, life of presence (0: do not say that this gateway lives), all in ms; then for each
// entry: group, span, limit, mark, adjust, least, want, as RateAsk explains. Span 0: requests at once.
// Returns {now, gateways, then window, granted, left of each entry}. Everything is read and judged before anything of a
// group is granted.
const std::string_view RateScript::kSource = R"lua(
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, epoch = ARGV[1], ARGV[2]
local slots_life, presence = tonumber(ARGV[3]), tonumber(ARGV[4])

if presence > 0 then
  redis.call('HSET', KEYS[1], me, string.format('%s %d', epoch, now + presence))
  redis.call('PEXPIRE', KEYS[1], presence)
end
local lives, gateways = {}, 0
local present = redis.call('HGETALL', KEYS[1])
for i = 1, #present, 2 do
  local life, expires = string.match(present[i + 1], '^(%S+) (%d+)$')
  if life == nil or tonumber(expires) <= now then
    redis.call('HDEL', KEYS[1], present[i])
  else
    lives[present[i]] = life
    gateways = gateways + 1
  end
end

local function held_by_others(key)
  local sum = 0
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local who = all[i]
    local life, slots, expires = string.match(all[i + 1], '^(%S+) (%d+) (%d+)$')
    if who ~= me then
      if life == nil or tonumber(expires) <= now or (lives[who] ~= nil and lives[who] ~= life) then
        redis.call('HDEL', key, who)
      else
        sum = sum + tonumber(slots)
      end
    end
  end
  return sum
end

local entries, is_short = {}, {}
for i = 1, #KEYS - 1 do
  local at = 4 + (i - 1) * 7
  local limit, least = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 6])
  local e = {key = KEYS[i + 1], group = ARGV[at + 1], span = tonumber(ARGV[at + 2]), mark = tonumber(ARGV[at + 4]),
             want = tonumber(ARGV[at + 7])}
  if e.span > 0 then
    local adjust = tonumber(ARGV[at + 5])
    local held = redis.call('HMGET', e.key, 'window', 'used')
    e.window = math.floor(now / e.span)
    e.used = 0
    if held[1] and tonumber(held[1]) == e.window then e.used = tonumber(held[2]) end
    if adjust ~= 0 and e.mark == e.window then
      e.used = math.max(e.used + adjust, 0)
      e.is_changed = true
    end
    e.left = math.max(limit - e.used, 0)
  else
    e.left = math.max(limit - held_by_others(e.key), 0)
  end
  if e.left < least then is_short[e.group] = true end
  entries[i] = e
end

local reply = {now, gateways}
for _, e in ipairs(entries) do
  local granted = 0
  if not is_short[e.group] then granted = math.min(e.want, e.left) end
  if e.span > 0 then
    if granted > 0 or e.is_changed then
      redis.call('HSET', e.key, 'window', e.window, 'used', e.used + granted)
      redis.call('PEXPIRE', e.key, 2 * e.span)
    end
    reply[#reply + 1] = e.window
  else
    granted = math.max(granted, e.mark)
    if granted > 0 then
      redis.call('HSET', e.key, me, string.format('%s %d %d', epoch, granted, now + slots_life))
      redis.call('PEXPIRE', e.key, slots_life)
    else
      redis.call('HDEL', e.key, me)
    end
    reply[#reply + 1] = 0
  end
  reply[#reply + 1] = granted
  reply[#reply + 1] = math.max(e.left - granted, 0)
end
return reply
)lua";

RateScript::RateScript(Redis& redis, std::string gateway_id, std::uint64_t epoch)
    : redis_(redis), script_(kSource), gateway_id_(std::move(gateway_id)), epoch_(std::to_string(epoch)) {}

awaitable<Result<RateReply>> RateScript::send(RateCall call, Deadline deadline) {
  RedisArgs arguments{gateway_id_, epoch_, std::to_string(kRateSlotsLife.count()),
                      std::to_string(call.is_beat ? kPresenceMs : 0)};
  add_asks(call, arguments);
  auto running = script_.run(redis_, keys_of(call), std::move(arguments), deadline);
  auto reply = co_await std::move(running);
  if (!reply) co_return fail(std::move(reply).error());
  co_return read_reply(*reply, call.asks.size());
}

}  // namespace tidegate::gateway
