#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "base/net/asio.h"

namespace tidegate::test {

/// Runs a coroutine to its end on `context` and returns what it returns; rethrows what it throws. Throws
/// std::runtime_error after `limit`, which a test never reaches unless it is broken.
template <typename T>
T run_coro(asio::io_context& context, awaitable<T> work, std::chrono::seconds limit = std::chrono::seconds(20)) {
  using Slot = std::conditional_t<std::is_void_v<T>, bool, std::optional<T>>;
  Slot value{};
  bool done = false;
  std::exception_ptr thrown;
  if constexpr (std::is_void_v<T>) {
    asio::co_spawn(context, std::move(work), [&](std::exception_ptr error) {
      thrown = error;
      done = true;
    });
  } else {
    asio::co_spawn(context, std::move(work), [&](std::exception_ptr error, T result) {
      thrown = error;
      if (!error) value = std::move(result);
      done = true;
    });
  }
  context.restart();
  const auto give_up = std::chrono::steady_clock::now() + limit;
  while (!done && std::chrono::steady_clock::now() < give_up) {
    if (context.run_one_until(give_up) == 0 && !done) context.restart();
  }
  if (!done) throw std::runtime_error("the coroutine did not finish in time");
  if (thrown) std::rethrow_exception(thrown);
  if constexpr (!std::is_void_v<T>) return *std::move(value);
}

/// The same on a context of its own, which ends with the call.
template <typename T>
T run_coro(awaitable<T> work, std::chrono::seconds limit = std::chrono::seconds(20)) {
  asio::io_context context(1);
  return run_coro(context, std::move(work), limit);
}

}  // namespace tidegate::test
