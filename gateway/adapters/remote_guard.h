#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/core/clock.h"
#include "gateway/guard/guard.h"

namespace tidegate::gateway {

struct RemoteGuardOptions {
  std::string address;  ///< "host:port" or "unix:/path"
  std::string token;    ///< shown to the server; may be empty
  std::chrono::milliseconds wait_max{1'000};
  std::size_t calls_max = 1'024;  ///< at once; one more fails with resource_exhausted/guard_busy
};

/// A guard in another process (proto/tidegate/v1/guard.proto). Does not connect yet. Destroy it before the executors of
/// its callers end; it cancels and awaits what is in flight. `clock` outlives it. Fails: invalid_argument/bad_address.
Result<std::unique_ptr<Guard>> connect_guard(const RemoteGuardOptions& options, const Clock& clock);

}  // namespace tidegate::gateway
