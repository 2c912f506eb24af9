#pragma once

#include <cstdint>

#include "worker/engine/cache_salt.h"

namespace tidegate::worker {

/// The salt of one of a few tenants.
inline CacheSalt salt_of(std::uint8_t tenant) {
  CacheSalt salt{};
  salt.back() = tenant;
  return salt;
}

}  // namespace tidegate::worker
