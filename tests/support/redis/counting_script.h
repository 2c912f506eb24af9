#pragma once

#include <string_view>

#include "tests/support/redis/fake_redis.h"

namespace tidegate::test {

/// A script for tests of scripts. KEYS[1] a counter; ARGV how many to add, and what it must not pass. Returns how many
/// were added.
inline constexpr std::string_view kCountUpTo = R"(
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
local added = math.min(tonumber(ARGV[1]), math.max(tonumber(ARGV[2]) - held, 0))
if added > 0 then redis.call('INCRBY', KEYS[1], added) end
return added
)";

/// Lets the fake run it.
void add_counting_script(FakeRedis& redis);

}  // namespace tidegate::test
