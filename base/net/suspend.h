#pragma once

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "base/net/asio.h"

namespace tidegate {

/// Wakes one suspended coroutine with a value, from any thread; the coroutine goes on on its own executor.
/// Must be called exactly once, and the executor must live until then: it keeps outstanding work on it, and whoever
/// holds a Resume drains before the executor dies.
template <typename T>
using Resume = std::move_only_function<void(T)>;

/// Suspends the caller and runs start(Resume<T>) on its thread; returns the value Resume was called with.
/// `cancel` runs on the caller's executor when Asio cancels the wait (operator||, a parent's end); it must make
/// somebody call Resume soon, and may run after Resume was called.
/// Start and cancel are named objects at the call site, never lambdas beside co_await (GCC 12).
template <typename T, typename Start, typename Cancel>
awaitable<T> suspend(Start start, Cancel cancel) {
  auto initiate = [start = std::move(start), cancel = std::move(cancel)](auto handler) mutable {
    auto slot = asio::get_associated_cancellation_slot(handler);
    auto executor = asio::get_associated_executor(handler);
    if (slot.is_connected()) {
      slot.assign([cancel = std::move(cancel)](asio::cancellation_type) mutable { cancel(); });
    }
    start(Resume<T>([handler = std::move(handler), slot, work = asio::make_work_guard(executor)](T value) mutable {
      auto target = work.get_executor();
      asio::post(target, [handler = std::move(handler), slot, work = std::move(work), value = std::move(value)]() mutable {
        if (slot.is_connected()) slot.clear();
        handler(std::move(value));
      });
    }));
  };
  auto operation = asio::async_initiate<const asio::use_awaitable_t<>&, void(T)>(std::move(initiate), asio::use_awaitable);
  co_return co_await std::move(operation);
}

}  // namespace tidegate
