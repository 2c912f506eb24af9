#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/log.h"
#include "base/core/metrics.h"
#include "base/core/random.h"
#include "base/crypto/sha256.h"
#include "base/net/http_server.h"
#include "base/net/signal.h"
#include "gateway/core/stored_answer.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

struct IdempotencyOptions {
  Digest secret{};  ///< of all gateways of the installation; everything below is derived from it
  std::size_t answer_bytes_max = 1024 * 1024;      ///< of an answer with its headers; a larger one is not kept
  Duration renew_every = std::chrono::seconds(5);  ///< well below the store's lease
};

/// What an operator sees of Idempotency-Keys. Names are an API: tests/golden lists them.
struct IdempotencyMetrics {
  explicit IdempotencyMetrics(MetricRegistry& registry);
  Counter& run;          ///< first requests
  Counter& replayed;     ///< repeats that got the kept answer
  Counter& refused;      ///< repeats that got an error: in flight, another body, not kept, unknown
  Counter& unavailable;  ///< the store could not be asked: 503
  Counter& not_kept;     ///< answers larger than the limit
  Counter& not_stored;   ///< charged answers that the store did not take: their repeats are told 410
  Gauge& open_requests;
};

/// One request with an Idempotency-Key, as the desk sees it: the same for every transport. Belongs to the desk's executor.
class KeyedExchange {
 public:
  virtual ~KeyedExchange() = default;
  /// The key; "" when it was sent more than once: whoever reads the other one would not agree with us.
  virtual std::string_view key() const = 0;
  /// All that makes it this request and not another one: where it goes and what it brings.
  virtual std::string content() const = 0;
  /// From here on `tap` sees the answer; null ends that.
  virtual void set_tap(AnswerTap* tap) = 0;
  /// Gives an earlier request's answer. Fails: the client is gone.
  virtual awaitable<Status> replay(StoredAnswer answer) = 0;
};

/// Runs a request once for its Idempotency-Key and gives its answer to every repeat, on whichever gateway it arrives.
/// One per io thread.
///
/// The store sees no key, no prompt and no answer: names and digests are HMACs, an answer is sealed under a key made of
/// the installation's secret and the caller's own API key. The request's client may leave: whoever sends the header
/// wants the answer kept, so it is finished and charged as if the client had stayed.
class IdempotencyDesk {
 public:
  /// References outlive the desk.
  IdempotencyDesk(IdempotencyStore& store, const IdempotencyOptions& options, const Clock& clock,
                  EntropySource& entropy, Log& log, IdempotencyMetrics& metrics, Executor executor);

  /// Answers on the exchange; `fence` is what the request driver must ask before it hands over or charges anything.
  using Work = std::function<awaitable<void>(ChargeFence* fence)>;
  enum class How : std::uint8_t { kRun, kReplayed, kRefused };
  struct Served {
    How how = How::kRefused;
    Refusal refusal;  ///< when kRefused: nothing was answered yet
    int status = 0;   ///< when kReplayed
  };
  /// One request with the header, of an authenticated caller. `key_text` is the caller's API key, `request` its id if
  /// it is the first.
  awaitable<Served> serve(KeyedExchange& exchange, const Principal& principal, std::string key_text, RequestId request,
                          const Work& work);

  /// Keeps the claims of open requests from lapsing and lets go of those that were not answered, until stop(). On the desk's executor.
  awaitable<void> keep_claims();
  /// Any thread.
  void stop() { stopped_.set(); }

 private:
  class Recorder;
  awaitable<Served> replay(KeyedExchange& exchange, const IdempotencyEntry& entry, const std::string& name,
                           const Digest& seal, RequestId request);

  /// A claim that was not answered: the store may have taken it, or take it yet. It is let go of until it was heard.
  struct Unsure {
    std::string name, owner;
    Mono until;
  };
  awaitable<void> renew_claims();
  awaitable<void> let_go_unsure();

  IdempotencyStore& store_;
  const IdempotencyOptions options_;
  const Clock& clock_;
  EntropySource& entropy_;
  Log& log_;
  IdempotencyMetrics& metrics_;
  Event stopped_;
  std::map<std::string, std::string> open_;  ///< owner to name, of requests under way
  std::vector<Unsure> unsure_;
};

}  // namespace tidegate::gateway
