#include "scheduler/drivers/kubernetes/state/watch_machine.h"

#include <algorithm>
#include <utility>

namespace tidegate::scheduler::kube {

void WatchMachine::pause(const CallFailure& failure, WatchStep after) {
  wait_ = std::max(backoff_.next(), std::min(failure.retry_after, settings_.absent_retry));
  after_wait_ = after;
  step_ = WatchStep::kWait;
}

void WatchMachine::list_anew() {
  version_.clear();
  continue_token_.clear();
  step_ = WatchStep::kList;
}

bool WatchMachine::on_page(std::string resource_version, std::string continue_token) {
  is_absent_ = false;
  continue_token_ = std::move(continue_token);
  if (!continue_token_.empty()) return false;
  version_ = std::move(resource_version);
  is_synced_ = true;
  heard_ = false;
  step_ = WatchStep::kWatch;
  return true;
}

void WatchMachine::on_list_failed(const CallFailure& failure) {
  list_anew();
  if (failure.is_absent() && settings_.may_be_absent) {
    // A cluster without LeaderWorkerSet has none of them: nothing runs there.
    is_absent_ = true;
    is_synced_ = true;
    wait_ = settings_.absent_retry;
    after_wait_ = WatchStep::kList;
    step_ = WatchStep::kWait;
    return;
  }
  // 410: the pages were too slow for the server's memory. At once would be too slow again.
  pause(failure, WatchStep::kList);
}

void WatchMachine::on_change(std::string resource_version) {
  if (!resource_version.empty()) version_ = std::move(resource_version);
  heard_ = true;
  backoff_.reset();
}

WatchMachine::Restart WatchMachine::on_watch_ended(Duration lasted) {
  const bool was_of_use = heard_ || lasted >= settings_.watch_least;
  heard_ = false;
  if (!was_of_use) {
    pause({}, WatchStep::kWatch);
    return Restart::kFailed;
  }
  backoff_.reset();
  step_ = WatchStep::kWatch;
  return Restart::kEnded;
}

WatchMachine::Restart WatchMachine::on_watch_failed(const CallFailure& failure) {
  const bool was_of_use = std::exchange(heard_, false);
  if (failure.is_gone()) {
    list_anew();
    // Right after a list, a 410 says that the list is no good either: then slowly.
    if (!was_of_use) pause(failure, WatchStep::kList);
    return Restart::kExpired;
  }
  if (failure.is_absent() || !failure.is_passing()) {
    list_anew();  // taken away, or not allowed any more: the list will say which
    pause(failure, WatchStep::kList);
  } else {
    pause(failure, WatchStep::kWatch);
  }
  return Restart::kFailed;
}

}  // namespace tidegate::scheduler::kube
