#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tidegate::pg {

struct ListenerOptions {
  std::string connection;             ///< libpq keywords
  std::vector<std::string> channels;  ///< lower-case identifiers
  /// The callback also comes this often without any notification: NOTIFY is a hint, the table is the truth.
  std::chrono::milliseconds poll{1000};
  std::chrono::milliseconds reconnect_least{20};
  std::chrono::milliseconds reconnect_most{1000};
};

/// LISTEN on a connection and thread of its own.
class Listener {
 public:
  /// `channel` is empty for a poll, and after every (re)connection, when notifications may have been missed: look at
  /// the table then. Runs on the listener's thread, one call at a time; it must not throw.
  using Callback = std::function<void(std::string_view channel, std::string_view payload)>;

  Listener(ListenerOptions options, Callback callback);
  /// As stop().
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  bool is_connected() const;
  /// Wakes the thread, waits for a running callback, joins. Idempotent. Not from the callback.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidegate::pg
