#include "base/net/signal.h"

#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/net/quiet.h"
#include "base/net/timer.h"

namespace tidegate {

// A timer that never fires is Asio's condition variable: cancelling it wakes the waiter. The atomic carries the
// state, so a wake-up without a notification (or a notification without a waiter) changes nothing.
struct AsyncSignal::State {
  explicit State(Executor executor) : timer(std::move(executor), Mono::max()) {}
  std::atomic<bool> notified{false};
  asio::steady_timer timer;
};

AsyncSignal::AsyncSignal(Executor executor) : state_(std::make_shared<State>(std::move(executor))) {}
AsyncSignal::~AsyncSignal() = default;
Executor AsyncSignal::executor() const { return state_->timer.get_executor(); }

void AsyncSignal::notify() {
  if (state_->notified.exchange(true)) return;
  asio::dispatch(state_->timer.get_executor(), [state = state_] { state->timer.cancel(); });
}

awaitable<void> AsyncSignal::wait() {
  const auto state = state_;
  while (!state->notified.exchange(false)) {
    state->timer.expires_at(Mono::max());
    co_await state->timer.async_wait(kQuiet);
  }
}

awaitable<bool> AsyncSignal::wait_until(Deadline deadline) {
  const auto state = state_;
  while (!state->notified.exchange(false)) {
    state->timer.expires_at(deadline.instant());
    const auto [error] = co_await state->timer.async_wait(kQuiet);
    if (!error) co_return state->notified.exchange(false);
  }
  co_return true;
}

struct Event::State {
  explicit State(Executor executor) : timer(std::move(executor), Mono::max()) {}
  std::atomic<bool> set{false};
  asio::steady_timer timer;
};

Event::Event(Executor executor) : state_(std::make_shared<State>(std::move(executor))) {}
Event::~Event() = default;

bool Event::is_set() const { return state_->set.load(); }

void Event::set() {
  if (state_->set.exchange(true)) return;
  asio::dispatch(state_->timer.get_executor(), [state = state_] { state->timer.cancel(); });
}

awaitable<void> Event::wait() {
  const auto state = state_;
  while (!state->set.load()) co_await state->timer.async_wait(kQuiet);
}

awaitable<bool> Event::wait_until(Deadline deadline) {
  using namespace asio::experimental::awaitable_operators;
  // Each waiter has its own deadline, so the shared timer cannot carry it.
  if (!is_set()) co_await (wait() || sleep_until(deadline));
  co_return is_set();
}

}  // namespace tidegate
