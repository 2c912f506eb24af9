#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "gateway/core/fair_queue.h"
#include "gateway/core/usage.h"

namespace tidegate::gateway {

/// What every event of an answer may repeat, whatever the dialect.
struct AnswerHead {
  RequestId request;
  std::string model;           ///< as the client asked
  std::string variant;         ///< that really serves; "" before a worker has the request
  std::string weights_digest;  ///< "sha256:<hex>"
  Wall created;
  TokenUsage accepted;         ///< the prompt as the worker counted it; zero before
  std::optional<QueuePlace> place = {};  ///< while it waits for a worker
  /// The tier that really serves, when the client named one; else "". A literal.
  std::string_view service_tier = {};
};

}  // namespace tidegate::gateway
