#pragma once

#include <array>
#include <cstdint>

namespace tidegate::worker {

/// Scopes the prefix cache: sequences of different salts never share a block. The gateway derives it from the tenant.
using CacheSalt = std::array<std::uint8_t, 32>;

}  // namespace tidegate::worker
