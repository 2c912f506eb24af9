#pragma once

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "base/core/deadline.h"
#include "base/net/suspend.h"
#include "base/rpc/read_side.h"

/// How a consumer takes the next message of any stream. A Reactor has
///   optional<Item> try_read();   uint64 new_ticket();   void read_async(Waiter);   void abandon(ticket, Error);
namespace tidegate::rpc {

inline Error read_timed_out() { return {Code::kDeadlineExceeded, "read_timeout", "no message came within the deadline"}; }

/// Waits on the caller's executor. A timeout or an Asio cancellation loses no message: the next read gets it.
template <typename T, typename Reactor>
awaitable<typename ReadSide<T>::Item> read_next(std::shared_ptr<Reactor> reactor, Deadline deadline) {
  using Item = typename ReadSide<T>::Item;
  if (auto item = reactor->try_read()) co_return *std::move(item);

  const auto ticket = reactor->new_ticket();
  asio::steady_timer timer(co_await asio::this_coro::executor);
  if (!deadline.is_never()) {
    timer.expires_at(deadline.instant());
    timer.async_wait([reactor, ticket](const boost::system::error_code& stopped) {
      if (!stopped) reactor->abandon(ticket, read_timed_out());
    });
  }
  auto start = [reactor](Resume<Item> resume) { reactor->read_async(std::move(resume)); };
  auto cancel = [reactor, ticket] { reactor->abandon(ticket, {Code::kCancelled, "read_cancelled", "the reader gave up"}); };
  auto waiting = suspend<Item>(std::move(start), std::move(cancel));
  co_return co_await std::move(waiting);
}

/// For the command line and for tests. Not on a gRPC or Asio thread.
template <typename T, typename Reactor>
typename ReadSide<T>::Item read_next_blocking(const std::shared_ptr<Reactor>& reactor, Deadline deadline) {
  using Item = typename ReadSide<T>::Item;
  if (auto item = reactor->try_read()) return *std::move(item);

  std::mutex mutex;
  std::condition_variable done;
  std::optional<Item> result;
  const auto ticket = reactor->new_ticket();
  reactor->read_async([&](Item item) {
    const std::lock_guard lock(mutex);
    result = std::move(item);
    done.notify_one();
  });
  std::unique_lock lock(mutex);
  const auto is_done = [&] { return result.has_value(); };
  if (!deadline.is_never() && !done.wait_until(lock, deadline.instant(), is_done)) {
    lock.unlock();
    reactor->abandon(ticket, read_timed_out());
    lock.lock();
  }
  done.wait(lock, is_done);
  return *std::move(result);
}

}  // namespace tidegate::rpc
