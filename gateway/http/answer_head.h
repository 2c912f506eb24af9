#pragma once

#include <string>

#include "base/core/clock.h"
#include "base/core/ids.h"
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
};

}  // namespace tidegate::gateway
