#include "tests/support/redis/counting_script.h"

#include <algorithm>
#include <string>

namespace tidegate::test {

void add_counting_script(FakeRedis& redis) {
  const auto count = [](FakeRedis& self, const FakeRedis::Keys& keys,
                        const FakeRedis::Keys& arguments) -> Result<RedisReply> {
    TG_ASSIGN(const RedisReply held, self.run({"INCRBY", keys.at(0), "0"}));
    const std::int64_t room = std::max<std::int64_t>(std::stoll(arguments.at(1)) - held.integer, 0);
    const std::int64_t added = std::min<std::int64_t>(std::stoll(arguments.at(0)), room);
    TG_TRY(self.run({"INCRBY", keys.at(0), std::to_string(added)}));
    return RedisReply::of_integer(added);
  };
  redis.add_script(std::string(kCountUpTo), count);
}

}  // namespace tidegate::test
