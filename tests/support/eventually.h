#pragma once

#include <chrono>
#include <thread>

namespace tidegate::test {

/// Waits until `condition()` holds, for what another thread or process does. False after `limit`.
/// Tests wait for the condition, never for a length of time.
template <typename Condition>
bool eventually(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
  const auto give_up = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= give_up) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace tidegate::test
