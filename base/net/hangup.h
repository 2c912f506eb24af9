#pragma once

#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace tidegate {

/// Calls back for each SIGHUP, on the context's thread, until it is destroyed: on that thread too, or after the context
/// has stopped.
class HangupWatch {
 public:
  HangupWatch(boost::asio::io_context& context, std::function<void()> on_hangup);
  ~HangupWatch();
  HangupWatch(const HangupWatch&) = delete;
  HangupWatch& operator=(const HangupWatch&) = delete;

 private:
  struct State;
  static void wait(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;  // shared with a signal that is on its way to the handler
};

}  // namespace tidegate
