#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"
#include "base/net/asio.h"
#include "gateway/core/answer_end.h"
#include "gateway/core/api_error.h"
#include "gateway/core/rate_status.h"
#include "gateway/core/usage.h"
#include "gateway/dispatch/dispatcher.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// One dialect's way of answering one request. Called by the request driver on the io thread, one call at a time.
/// A failed write means that the client is gone.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  /// What the limits that bind the request have left; before on_admitted() or a refusal. Edges without a place for it
  /// leave it out.
  virtual void on_limits(const RateStatus&) {}
  virtual void on_admitted(std::string_view price_band) = 0;
  /// Again after a retry: the last one counts.
  virtual void on_dispatched(const WorkerFacts& worker) = 0;
  virtual void on_accepted(const TokenUsage& usage) = 0;
  /// Text to hand over; at least one of the two is not empty.
  virtual awaitable<Status> deliver(std::string reasoning, std::string content) = 0;
  /// Nothing was delivered for a while: keep middle boxes awake if the dialect can.
  virtual awaitable<Status> keep_alive() = 0;
  virtual awaitable<Status> finish(AnswerEnd end) = 0;
  /// A status before the first byte, an error frame after it.
  virtual awaitable<Status> refuse(Refusal refusal) = 0;
};

}  // namespace tidegate::gateway
