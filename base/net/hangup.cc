#include "base/net/hangup.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <utility>

namespace tidegate {

struct HangupWatch::State {
  State(boost::asio::io_context& context, std::function<void()> on_hangup_in)
      : signals(context, SIGHUP), on_hangup(std::move(on_hangup_in)) {}
  boost::asio::signal_set signals;
  std::function<void()> on_hangup;
  bool is_over = false;
};

void HangupWatch::wait(const std::shared_ptr<State>& state) {
  state->signals.async_wait([state](const boost::system::error_code& stopped, int) {
    if (stopped || state->is_over) return;
    state->on_hangup();
    if (!state->is_over) wait(state);
  });
}

HangupWatch::HangupWatch(boost::asio::io_context& context, std::function<void()> on_hangup)
    : state_(std::make_shared<State>(context, std::move(on_hangup))) {
  wait(state_);
}

HangupWatch::~HangupWatch() {
  state_->is_over = true;
  boost::system::error_code ignored;
  state_->signals.cancel(ignored);
}

}  // namespace tidegate
