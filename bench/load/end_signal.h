#pragma once

#include <pthread.h>

#include <csignal>

namespace tidegate::bench {

/// SIGTERM and SIGINT end a bench server. Make it first in main: threads started later inherit that the two wait for
/// it.
class EndSignal {
 public:
  EndSignal() {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGTERM);
    ::sigaddset(&signals_, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  void wait() const {
    int which = 0;
    ::sigwait(&signals_, &which);
  }

 private:
  sigset_t signals_;
};

}  // namespace tidegate::bench
