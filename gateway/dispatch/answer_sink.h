#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/net/asio.h"
#include "gateway/core/answer_end.h"
#include "gateway/core/api_error.h"
#include "gateway/core/rate_status.h"
#include "gateway/core/usage.h"
#include "gateway/dispatch/dispatcher.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// What became of a delivery that does not wait.
enum class Delivery : std::uint8_t {
  kDone,
  kHeldUp,  ///< taken, but the client is slow: AnswerSink::flush() waits for it
  kFailed,  ///< the client is gone
};

/// One dialect's way of answering one request. Called by the request driver on the io thread, one call at a time.
/// A failed write means that the client is gone.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  /// What the limits that bind the request have left; before on_admitted() or a refusal. Edges without a place for it
  /// leave it out.
  virtual void on_limits(const RateStatus&) {}
  virtual void on_admitted(std::string_view price_band) = 0;
  /// When the price of the admission changes next, if that is known; right behind on_admitted().
  virtual void on_price_until(const std::optional<Wall>&) {}
  /// What the request has just waited for a worker, before on_dispatched().
  virtual void on_waited(Duration) {}
  /// Again after a retry: the last one counts.
  virtual void on_dispatched(const WorkerFacts& worker) = 0;
  virtual void on_accepted(const TokenUsage& usage) = 0;
  /// Before a keep_alive(): where the request waits for a worker; nullopt when it does not.
  virtual void on_place(const std::optional<QueuePlace>&) {}
  /// What to hand over: text, or the end of one of several answers. An end that comes here is not repeated in finish().
  virtual awaitable<Status> deliver(AnswerPart part) = 0;
  /// Whether deliver_now() may stand in for deliver() at the moment.
  virtual bool can_deliver_now() const { return false; }
  /// As deliver(), from where the event came in, without a coroutine that wakes for it. After kHeldUp flush() comes
  /// next, or refuse(), which then ends the answer behind what was held up, or nothing more, when the client has left.
  virtual Delivery deliver_now(AnswerPart /*part*/) { return Delivery::kFailed; }
  /// Returns once the client took what a delivery left behind.
  virtual awaitable<Status> flush() { co_return Status(); }
  /// The worker was lost and another one begins from the start: what a collecting edge was given is void. Those that
  /// hand text on at once are asked before the first text only, and have nothing to forget.
  virtual void restart() {}
  /// Nothing was delivered for a while: keep middle boxes awake if the dialect can.
  virtual awaitable<Status> keep_alive() = 0;
  virtual awaitable<Status> finish(AnswerEnd end) = 0;
  /// A status before the first byte, an error frame after it.
  virtual awaitable<Status> refuse(Refusal refusal) = 0;
  /// The status that refuse() says, for logs and metrics.
  virtual int status_of(const Refusal& refusal) const { return to_api_error(refusal).http_status; }
};

}  // namespace tidegate::gateway
