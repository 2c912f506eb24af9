#pragma once

#include <string>

#include "base/core/clock.h"

namespace tidegate::scheduler::kube {

/// A call to the API server that did not do what was asked.
struct CallFailure {
  int status = 0;               ///< HTTP; 0: no answer came (no connection, a cut one, a deadline)
  std::string message;          ///< for a person
  Duration retry_after{};       ///< as the server asked; zero: it did not
  bool field_conflict = false;  ///< 409 because another field manager owns what we apply

  bool is_gone() const { return status == 410; }
  bool is_conflict() const { return status == 409; }
  bool is_absent() const { return status == 404; }
  /// Worth asking again as it is: nobody answered, or the server says "not now". 401 too: a token may just have
  /// changed.
  bool is_passing() const { return status == 0 || status == 401 || status == 408 || status == 429 || status >= 500; }
};

}  // namespace tidegate::scheduler::kube
