#include "gateway/adapters/redis_idempotency.h"

#include <utility>

namespace tidegate::gateway {
namespace {

constexpr std::string_view kKeyPrefix = "tg:idem:";
constexpr std::string_view kClaimed = "claimed";
/// State, digest, owner, what is left of the lease, answer.
constexpr std::size_t kEntryFields = 5;

/// Whatever is wrong with Redis, the caller hears one thing; the client's own metrics and log have the rest.
Result<IdempotencyEntry> read_entry(RedisReply reply) {
  const auto foreign = [] { return fail(idempotency_unavailable()); };
  if (reply.items.size() != kEntryFields) return foreign();
  const auto state = parse_answer_state(reply.items[0].text);
  if (!state) return foreign();
  IdempotencyEntry entry;
  entry.state = *state;
  entry.digest = std::move(reply.items[1].text);
  entry.request_id = std::move(reply.items[2].text);
  entry.lease_left = std::chrono::milliseconds(reply.items[3].integer);
  entry.answer = std::move(reply.items[4].text);
  return entry;
}

}  // namespace

// KEYS[1] hash {state, digest, owner, lease, answer}; ARGV digest, owner, lease in ms, time to live in ms. Returns
// {"claimed"} or what is held. A running claim whose lease has lapsed was never charged: it is taken over, by a request
// of the same digest.
const std::string_view RedisIdempotency::kClaim = R"(
local held = redis.call('HMGET', KEYS[1], 'state', 'digest', 'owner', 'lease', 'answer')
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
if held[1] then
  local left = math.max(tonumber(held[4]) - now_ms, 0)
  local is_lapsed = held[1] == 'running' and left == 0 and held[2] == ARGV[1]
  if not is_lapsed then return {held[1], held[2], held[3], left, held[5] or ''} end
end
redis.call('HSET', KEYS[1], 'state', 'running', 'digest', ARGV[1], 'owner', ARGV[2], 'lease', now_ms + tonumber(ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'claimed'}
)";

// KEYS[1] as above; ARGV owner, verb ("release", "renew", "commit", or the state it ends in), milliseconds (of the
// lease, or to live), answer. Returns 1, or 0 when the claim is another's or has ended.
const std::string_view RedisIdempotency::kStep = R"(
local held = redis.call('HMGET', KEYS[1], 'owner', 'state')
if held[1] ~= ARGV[1] or (held[2] ~= 'running' and held[2] ~= 'committed') then return 0 end
local verb = ARGV[2]
if verb == 'release' then
  redis.call('DEL', KEYS[1])
elseif verb == 'renew' or verb == 'commit' then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'lease', now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(ARGV[3]))
  if verb == 'commit' then redis.call('HSET', KEYS[1], 'state', 'committed') end
else
  redis.call('HSET', KEYS[1], 'state', verb, 'lease', 0, 'answer', ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
)";

awaitable<Result<std::optional<IdempotencyEntry>>> RedisIdempotency::claim(std::string name, std::string digest,
                                                                           std::string owner) {
  RedisArgs keys{std::string(kKeyPrefix) + name};
  RedisArgs arguments{std::move(digest), std::move(owner), std::to_string(options_.lease.count()),
                      std::to_string(options_.time_to_live.count())};
  const Deadline deadline = soon();
  auto reply = co_await claim_.run(redis_, std::move(keys), std::move(arguments), deadline);
  if (!reply) co_return fail(idempotency_unavailable());
  if (reply->items.size() == 1 && reply->items[0].text == kClaimed) co_return std::nullopt;
  auto entry = read_entry(*std::move(reply));
  if (!entry) co_return fail(std::move(entry).error());
  co_return std::optional<IdempotencyEntry>(*std::move(entry));
}

awaitable<Status> RedisIdempotency::renew(std::string name, std::string owner) {
  std::string verb = "renew", none;
  co_return co_await step(std::move(name), std::move(owner), std::move(verb), options_.lease, std::move(none));
}

awaitable<Status> RedisIdempotency::commit(std::string name, std::string owner) {
  std::string verb = "commit", none;
  co_return co_await step(std::move(name), std::move(owner), std::move(verb), options_.lease, std::move(none));
}

awaitable<Status> RedisIdempotency::finish(std::string name, std::string owner, AnswerState state, std::string answer) {
  std::string verb(answer_state_name(state));
  co_return co_await step(std::move(name), std::move(owner), std::move(verb), options_.time_to_live, std::move(answer));
}

awaitable<Status> RedisIdempotency::release(std::string name, std::string owner) {
  std::string verb = "release", none;
  co_return co_await step(std::move(name), std::move(owner), std::move(verb), options_.lease, std::move(none));
}

awaitable<Status> RedisIdempotency::step(std::string name, std::string owner, std::string verb,
                                         std::chrono::milliseconds span, std::string answer) {
  RedisArgs keys{std::string(kKeyPrefix) + name};
  RedisArgs arguments{std::move(owner), std::move(verb), std::to_string(span.count()), std::move(answer)};
  const Deadline deadline = soon();
  const auto reply = co_await step_.run(redis_, std::move(keys), std::move(arguments), deadline);
  if (!reply) co_return fail(idempotency_unavailable());
  if (reply->integer != 1) {
    co_return fail(Code::kAborted, "claim_lost", "another request holds this Idempotency-Key by now; send a new one",
                   kIdempotencyHeader);
  }
  co_return Status();
}

}  // namespace tidegate::gateway
