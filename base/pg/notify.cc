#include "base/pg/notify.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <pqxx/connection>
#include <pqxx/notification>
#include <thread>

#include "base/core/backoff.h"
#include "base/core/check.h"
#include "base/core/clock.h"
#include "base/pg/connect.h"
#include "base/pg/steady_now.h"

namespace tidegate::pg {

namespace {

class Receiver final : public pqxx::notification_receiver {
 public:
  Receiver(pqxx::connection& connection, const std::string& channel, const Listener::Callback& callback)
      : pqxx::notification_receiver(connection, channel), callback_(callback) {}
  void operator()(const std::string& payload, int) override { callback_(channel(), payload); }

 private:
  const Listener::Callback& callback_;
};

}  // namespace

class Listener::Impl {
 public:
  Impl(ListenerOptions options, Callback callback)
      : options_(std::move(options)),
        callback_(std::move(callback)),
        stop_event_(::eventfd(0, EFD_CLOEXEC)),
        backoff_(options_.reconnect_least, options_.reconnect_most,
                 static_cast<std::uint64_t>(steady_now().time_since_epoch().count())) {
    TG_CHECK(stop_event_ >= 0);
    thread_ = std::thread([this] { run(); });
    ::pthread_setname_np(thread_.native_handle(), "pg-listen");
  }
  ~Impl() {
    stop();
    ::close(stop_event_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  bool is_connected() const { return is_connected_; }
  void stop() {
    is_stopping_ = true;
    ::eventfd_write(stop_event_, 1);
    if (thread_.joinable()) thread_.join();
  }

 private:
  void run() {
    while (!is_stopping_) {
      try {
        listen();
      } catch (const std::exception&) {
        // A lost connection: the poll goes on while we try again.
      }
      is_connected_ = false;
      wait(-1, steady_now() + backoff_.next());
      if (!is_stopping_ && steady_now() >= next_poll_) poll_table();
    }
  }

  /// Returns at stop, throws when the connection is lost.
  void listen() {
    ConnectOptions connect_options;
    connect_options.connection = options_.connection;
    connect_options.application = "tidegate-listen";
    const auto connection = connect(connect_options);
    std::vector<std::unique_ptr<Receiver>> receivers;
    for (const auto& channel : options_.channels) {
      receivers.push_back(std::make_unique<Receiver>(*connection, channel, callback_));
    }
    is_connected_ = true;
    backoff_.reset();
    poll_table();
    while (!is_stopping_) {
      if (wait(connection->sock(), next_poll_)) connection->get_notifs();
      if (!is_stopping_ && steady_now() >= next_poll_) poll_table();
    }
  }

  void poll_table() {
    next_poll_ = steady_now() + options_.poll;
    callback_({}, {});
  }

  /// Until the instant, stop() or data on `fd` (-1: none); true for data.
  bool wait(int fd, Mono until) {
    pollfd watched[2] = {{stop_event_, POLLIN, 0}, {fd, POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_now()).count();
    ::poll(watched, 2, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
    return watched[1].revents != 0;
  }

  const ListenerOptions options_;
  const Callback callback_;
  const int stop_event_;
  Backoff backoff_;
  Mono next_poll_{};
  std::atomic<bool> is_connected_ = false;
  std::atomic<bool> is_stopping_ = false;
  std::thread thread_;
};

Listener::Listener(ListenerOptions options, Callback callback)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(callback))) {}
Listener::~Listener() = default;

bool Listener::is_connected() const { return impl_->is_connected(); }
void Listener::stop() { impl_->stop(); }

}  // namespace tidegate::pg
