#pragma once

#include <cstdint>
#include <string>

#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "scheduler/drivers/kubernetes/state/call_failure.h"

namespace tidegate::scheduler::kube {

enum class WatchStep : std::uint8_t {
  kList,   ///< ask for the page of continue_token(), then on_page or on_list_failed
  kWatch,  ///< watch from resource_version(), then on_change..., on_watch_ended or on_watch_failed
  kWait,   ///< for wait(), then on_waited
};

/// Keeps up with one collection of a cluster: list once, watch from there, list again when the cluster has forgotten
/// where we are (410). What it knows of the cluster is only the resource version, an opaque text. Pure.
class WatchMachine {
 public:
  struct Settings {
    Duration retry_least = std::chrono::milliseconds(200);
    Duration retry_most = std::chrono::seconds(30);
    /// A watch that ends sooner, with nothing heard, counts as failed: a server that accepts and closes must not be
    /// hammered.
    Duration watch_least = std::chrono::seconds(1);
    /// A collection that the cluster does not have (404) is asked for again after this.
    Duration absent_retry = std::chrono::seconds(60);
    /// Whether a 404 means that the cluster has none of them; else it is a failure like any other.
    bool may_be_absent = true;
  };
  enum class Restart : std::uint8_t { kNone, kEnded, kExpired, kFailed };  ///< why the last watch was left

  WatchMachine(Settings settings, std::uint64_t seed)
      : settings_(settings), backoff_(settings.retry_least, settings.retry_most, seed) {}

  WatchStep step() const { return step_; }
  Duration wait() const { return wait_; }
  const std::string& resource_version() const { return version_; }
  const std::string& continue_token() const { return continue_token_; }
  /// Whether a whole list was taken; it stays true while later lists are under way.
  bool is_synced() const { return is_synced_; }
  bool is_absent() const { return is_absent_; }

  /// A page of the list. True: it was the last one, and the collection is what all pages since the first one said.
  bool on_page(std::string resource_version, std::string continue_token);
  /// The pages so far are worth nothing when this says true.
  void on_list_failed(const CallFailure& failure);
  /// An object came, went or changed, or a bookmark: all up to that version is known.
  void on_change(std::string resource_version);
  /// The server ended the watch in order; it lasted so long.
  Restart on_watch_ended(Duration lasted);
  /// Not in order: no answer, an answer that is a failure, or an ERROR event.
  Restart on_watch_failed(const CallFailure& failure);
  void on_waited() { step_ = after_wait_; }

 private:
  void pause(const CallFailure& failure, WatchStep after);
  void list_anew();

  Settings settings_;
  Backoff backoff_;
  WatchStep step_ = WatchStep::kList;
  WatchStep after_wait_ = WatchStep::kList;
  Duration wait_{};
  std::string version_;
  std::string continue_token_;
  bool is_synced_ = false;
  bool is_absent_ = false;
  bool heard_ = false;  ///< something came since the watch began
};

}  // namespace tidegate::scheduler::kube
