#pragma once

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <utility>
#include <variant>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/net/asio.h"

namespace tidegate {

/// Completion of a background coroutine that must not throw: if it does, that is a bug of ours, and the exception ends
/// the process instead of silently ending the coroutine.
inline void abort_on_throw(std::exception_ptr error) {
  if (error) std::rethrow_exception(error);
}

/// Suspends the calling coroutine until the instant, on its own executor. Never wakes early. Asio's cancellation
/// ends it with boost::system::system_error(operation_aborted).
awaitable<void> sleep_until(Deadline deadline);
awaitable<void> sleep_for(Duration span);

/// Runs `work` until it ends or the deadline passes; the loser is cancelled and awaited, so nothing of it runs on
/// after the return. Fails: deadline_exceeded/timeout, naming `what`.
/// The work must consist of cancellable Asio operations and the waits of this library.
template <typename T>
awaitable<Result<T>> with_deadline(awaitable<Result<T>> work, Deadline deadline, std::string_view what) {
  using namespace asio::experimental::awaitable_operators;
  if (deadline.is_never()) co_return co_await std::move(work);
  auto first = co_await (std::move(work) || sleep_until(deadline));
  if (first.index() == 0) co_return std::get<0>(std::move(first));
  co_return fail(Code::kDeadlineExceeded, "timeout", std::string(what) + " took longer than its deadline allows");
}

}  // namespace tidegate
