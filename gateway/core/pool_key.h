#pragma once

#include <string>
#include <string_view>

namespace tidegate::gateway {

/// One text for (model, region, pool): equal texts are equal triples, for no name holds a zero byte.
inline std::string pool_key(std::string_view model, std::string_view region, std::string_view pool) {
  std::string key(model);
  key.append(1, '\0').append(region).append(1, '\0').append(pool);
  return key;
}

}  // namespace tidegate::gateway
