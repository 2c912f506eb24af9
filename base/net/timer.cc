#include "base/net/timer.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace tidegate {

awaitable<void> sleep_until(Deadline deadline) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_at(deadline.instant());
  co_await timer.async_wait(asio::use_awaitable);
}

awaitable<void> sleep_for(Duration span) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(span);
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace tidegate
