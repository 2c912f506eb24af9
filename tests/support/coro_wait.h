#pragma once

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "base/net/asio.h"

namespace tidegate::test {

/// Lets the event loop go on for a moment: for coroutines that wait for a condition on their own executor.
///   while (!done) co_await test::turn();
inline awaitable<void> turn() {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(std::chrono::milliseconds(1));
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace tidegate::test
