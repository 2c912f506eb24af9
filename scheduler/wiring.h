#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "scheduler/config.h"

namespace tidegate::scheduler {

/// The process as an object: built in start order, taken down in reverse.
class SchedulerProcess {
 public:
  /// Migrates, listens, and begins to try for the lead. The references outlive it. Fails as its parts do.
  /// `arguments` are main's, for reading the options again on SIGHUP or POST /reload; empty: that is refused.
  static Result<std::unique_ptr<SchedulerProcess>> start(const SchedulerConfig& config, const Clock& clock, Log& log,
                                                         std::vector<std::string> arguments = {});
  ~SchedulerProcess();

  /// Returns after SIGTERM or SIGINT. Workers are left running.
  void run();
  const std::string& address() const;

 private:
  struct Parts;
  explicit SchedulerProcess(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace tidegate::scheduler
