#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "base/net/asio.h"

namespace tidegate {

template <typename T>
struct AwaitableValue;
template <typename T>
struct AwaitableValue<awaitable<T>> {
  using Type = T;
};

/// `count` threads, each running one single-threaded io_context. An object that belongs to executor(i) is touched
/// by thread i alone, so nothing on it needs a lock.
class IoThreads {
 public:
  /// Threads are named "<name>-<i>" for the operator's top(1). count >= 1.
  explicit IoThreads(std::size_t count, const std::string& name = "io");
  /// As stop().
  ~IoThreads();
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  std::size_t size() const { return lanes_.size(); }
  Executor executor(std::size_t i) const;
  asio::io_context& context(std::size_t i);
  /// True on the thread that runs lane i.
  bool is_current(std::size_t i) const;

  /// Queues `fn` on lane i. Any thread.
  template <typename Fn>
  void post_on(std::size_t i, Fn&& fn) {
    asio::post(context(i), std::forward<Fn>(fn));
  }

  /// Runs fn() on lane i and waits for its result; if fn returns an awaitable, for the end of that coroutine.
  /// Exceptions come back to the caller. Never call it on an IoThreads thread: it would wait for itself.
  template <typename Fn>
  auto run_on(std::size_t i, Fn fn);

  /// Stops and joins every thread. Work still queued is destroyed with this object. Idempotent; not from a lane.
  void stop();

 private:
  struct Lane;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

template <typename Fn>
auto IoThreads::run_on(std::size_t i, Fn fn) {
  using Returned = std::invoke_result_t<Fn&>;
  if constexpr (requires { typename AwaitableValue<Returned>::Type; }) {
    using Value = typename AwaitableValue<Returned>::Type;
    std::promise<Value> promise;
    auto future = promise.get_future();
    // The first hop lets fn itself run on the lane, not on the caller's thread.
    asio::post(context(i), [this, i, &fn, &promise] {
      if constexpr (std::is_void_v<Value>) {
        asio::co_spawn(context(i), fn(), [&promise](std::exception_ptr error) {
          if (error) {
            promise.set_exception(error);
          } else {
            promise.set_value();
          }
        });
      } else {
        asio::co_spawn(context(i), fn(), [&promise](std::exception_ptr error, Value value) {
          if (error) {
            promise.set_exception(error);
          } else {
            promise.set_value(std::move(value));
          }
        });
      }
    });
    return future.get();
  } else {
    std::packaged_task<Returned()> task(std::ref(fn));
    auto future = task.get_future();
    asio::post(context(i), [&task] { task(); });
    return future.get();
  }
}

}  // namespace tidegate
