#include "gateway/http/idempotency_desk.h"

#include <algorithm>
#include <utility>

#include "base/core/encoding.h"
#include "base/crypto/sealed_box.h"
#include "base/net/sse.h"

namespace tidegate::gateway {
namespace {

/// Says of an answer that it is an earlier one's; Stripe's name for it.
constexpr const char* kReplayedHeader = "idempotent-replayed";
/// What keeps a connection awake is no part of an answer.
constexpr std::string_view kBlankLine = "\n";
/// A claim that was not answered is let go of this often, and for this long once the store speaks again.
constexpr Duration kLetGoEvery = std::chrono::milliseconds(500);
constexpr Duration kUnsureFor = std::chrono::seconds(5);
/// Beyond these a repeat waits for the lease to lapse.
constexpr std::size_t kUnsureMax = 10'000;

/// HMACs, not plain digests: whoever reads the store can guess keys and prompts, and must not be able to check a guess.
std::string name_of(const Digest& secret, const Principal& principal, std::string_view key) {
  std::string text = "name\n";
  text += principal.key.raw();
  text += key;
  return hex_encode(as_view(hmac_sha256(as_view(secret), text)));
}

std::string digest_of(const Digest& secret, std::string_view content) {
  std::string text = "request\n";
  text += content;
  return hex_encode(as_view(hmac_sha256(as_view(secret), text)));
}

Digest seal_of(const Digest& secret, std::string_view key_text) {
  std::string text = "seal\n";
  text += key_text;
  return hmac_sha256(as_view(secret), text);
}

Counter& counted(MetricRegistry& registry, const char* result) {
  return registry.counter("tidegate_gateway_idempotent_requests_total",
                          "Requests with an Idempotency-Key, by what became of them.", {{"result", result}});
}

}  // namespace

IdempotencyMetrics::IdempotencyMetrics(MetricRegistry& registry)
    : run(counted(registry, "run")),
      replayed(counted(registry, "replayed")),
      refused(counted(registry, "refused")),
      unavailable(counted(registry, "unavailable")),
      not_kept(registry.counter("tidegate_gateway_idempotent_not_kept_total", "Answers too large to be kept.")),
      not_stored(registry.counter("tidegate_gateway_idempotent_not_stored_total",
                                  "Charged answers that the store did not take.")),
      open_requests(registry.gauge("tidegate_gateway_idempotent_open_requests",
                                   "First requests with an Idempotency-Key under way.")) {}

/// Keeps a copy of the first answer, and marks the two points of no return: before a charge, and before the end.
class IdempotencyDesk::Recorder final : public AnswerTap, public ChargeFence {
 public:
  Recorder(IdempotencyDesk& desk, std::string name, std::string owner, const Digest& seal)
      : desk_(desk), name_(std::move(name)), owner_(std::move(owner)), seal_(seal) {
    desk_.open_.emplace(owner_, name_);
    desk_.metrics_.open_requests.add(1);
  }
  ~Recorder() override {
    desk_.open_.erase(owner_);
    desk_.metrics_.open_requests.add(-1);
  }

  awaitable<Status> before_charge() override {
    Status committed = co_await desk_.store_.commit(name_, owner_);
    is_committed_ = committed.has_value();
    co_return committed;
  }

  void on_head(int status, const std::string& content_type, const HttpHeaders& headers, bool is_stream) override {
    answer_.status = status;
    answer_.is_stream = is_stream;
    answer_.content_type = content_type;
    answer_.headers = headers;
    for (const auto& [name, value] : headers) bytes_ += name.size() + value.size();
  }
  void on_body(std::string_view bytes) override {
    if (bytes == sse::kKeepAlive || bytes == kBlankLine) return;
    bytes_ += bytes.size();
    if (is_too_large()) {
      answer_.body = std::string();  // gives the memory back
    } else {
      answer_.body += bytes;
    }
  }
  awaitable<void> on_end() override {
    is_ended_ = true;
    // A stream that had begun may still fail before anything was charged: its status says nothing of that.
    const bool is_good = is_committed_ && answer_.status / 100 == 2;
    if (is_good && !is_too_large()) {
      std::string box = seal_box(seal_, encode_answer(answer_), name_, desk_.entropy_);
      co_await finish(AnswerState::kKept, std::move(box));
    } else if (is_good) {
      desk_.metrics_.not_kept.add();
      std::string none;
      co_await finish(AnswerState::kDropped, std::move(none));
    } else {
      co_await give_up();
    }
  }
  /// Once it is too large to be kept nobody is served by it any more but the client that asked.
  bool outlives_client() const override { return !is_too_large(); }

  /// The handler is through. An answer without its end was cut: whoever has part of it paid for that part.
  awaitable<void> close() {
    if (!is_ended_) co_await give_up();
  }

 private:
  bool is_too_large() const { return bytes_ > desk_.options_.answer_bytes_max; }

  /// Nothing worth repeating: forgotten if nothing can have been charged, so that the same key may try again.
  awaitable<void> give_up() {
    if (is_committed_) {
      const AnswerState state = is_too_large() ? AnswerState::kDropped : AnswerState::kUnknown;
      std::string none;
      co_await finish(state, std::move(none));
      co_return;
    }
    const Status released = co_await desk_.store_.release(name_, owner_);
    if (released) co_return;
    desk_.log_.warn("idempotent_claim_not_released", {kv("request_id", owner_), kv("reason", released.error().reason)});
  }

  /// A store that does not take it leaves the claim committed: a repeat is told that nobody knows how it ended.
  awaitable<void> finish(AnswerState state, std::string box) {
    const Status finished = co_await desk_.store_.finish(name_, owner_, state, std::move(box));
    if (finished) co_return;
    desk_.metrics_.not_stored.add();
    desk_.log_.warn("idempotent_answer_not_stored", {kv("request_id", owner_), kv("reason", finished.error().reason)});
  }

  IdempotencyDesk& desk_;
  const std::string name_;
  const std::string owner_;
  const Digest seal_;
  StoredAnswer answer_;
  std::size_t bytes_ = 0;
  bool is_committed_ = false;
  bool is_ended_ = false;
};

IdempotencyDesk::IdempotencyDesk(IdempotencyStore& store, const IdempotencyOptions& options, const Clock& clock,
                                 EntropySource& entropy, Log& log, IdempotencyMetrics& metrics, Executor executor)
    : store_(store),
      options_(options),
      clock_(clock),
      entropy_(entropy),
      log_(log),
      metrics_(metrics),
      stopped_(std::move(executor)) {}

awaitable<IdempotencyDesk::Served> IdempotencyDesk::serve(KeyedExchange& exchange, const Principal& principal,
                                                          std::string key_text, RequestId request, const Work& work) {
  Served served;
  const std::string_view key = exchange.key();
  if (Status sound = check_idempotency_key(key); !sound) {
    metrics_.refused.add();
    served.refusal = std::move(sound).error();
    co_return served;
  }
  const std::string name = name_of(options_.secret, principal, key);
  const std::string digest = digest_of(options_.secret, exchange.content());
  const Digest seal = seal_of(options_.secret, key_text);
  const std::string owner = request.to_string();

  auto claimed = co_await store_.claim(name, digest, owner);
  if (!claimed) {
    metrics_.unavailable.add();
    if (unsure_.size() < kUnsureMax) unsure_.push_back({name, owner, clock_.mono() + kUnsureFor});
    served.refusal = std::move(claimed).error();
    co_return served;
  }
  if (claimed->has_value()) {
    const IdempotencyEntry entry = **std::move(claimed);
    if (auto refusal = refusal_of_repeat(entry, digest)) {
      metrics_.refused.add();
      served.refusal = *std::move(refusal);
      co_return served;
    }
    served = co_await replay(exchange, entry, name, seal, request);
    co_return served;
  }

  metrics_.run.add();
  Recorder recorder(*this, name, owner, seal);
  exchange.set_tap(&recorder);
  co_await work(&recorder);
  exchange.set_tap(nullptr);
  co_await recorder.close();
  served.how = How::kRun;
  co_return served;
}

awaitable<IdempotencyDesk::Served> IdempotencyDesk::replay(KeyedExchange& exchange, const IdempotencyEntry& entry,
                                                           const std::string& name, const Digest& seal,
                                                           RequestId request) {
  Served served;
  Result<StoredAnswer> answer = fail(Code::kDataLoss, "bad_answer", "");
  if (const auto opened = open_box(seal, entry.answer, name)) answer = decode_answer(*opened);
  if (!answer) {
    // Sealed under a secret that was changed since, or damaged: charged once all the same.
    metrics_.refused.add();
    log_.error("idempotent_answer_unreadable", {kv("request_id", request.to_string()), kv("first", entry.request_id)});
    IdempotencyEntry lost = entry;
    lost.state = AnswerState::kUnknown;
    served.refusal = refusal_of_repeat(lost, entry.digest).value();
    co_return served;
  }
  metrics_.replayed.add();
  served.how = How::kReplayed;
  served.status = answer->status;
  log_.info("idempotent_replay", {kv("request_id", request.to_string()), kv("first", entry.request_id),
                                  kv("status", answer->status), kv("stream", answer->is_stream)});
  answer->headers.emplace_back(kReplayedHeader, "true");
  const Status sent = co_await exchange.replay(*std::move(answer));
  if (!sent) served.status = kStatusClientGone;
  co_return served;
}

awaitable<void> IdempotencyDesk::keep_claims() {
  const Duration tick = std::min<Duration>(options_.renew_every, kLetGoEvery);
  Mono renew_at = clock_.mono() + options_.renew_every;
  while (!co_await stopped_.wait_until(Deadline::after(clock_.mono(), tick))) {
    co_await let_go_unsure();
    if (clock_.mono() < renew_at) continue;
    renew_at = clock_.mono() + options_.renew_every;
    co_await renew_claims();
  }
}

awaitable<void> IdempotencyDesk::renew_claims() {
  // Requests end while others are renewed: a copy, looked up again.
  const std::vector<std::pair<std::string, std::string>> claims(open_.begin(), open_.end());
  for (const auto& claim : claims) {
    if (!open_.contains(claim.first)) continue;
    const Status renewed = co_await store_.renew(claim.second, claim.first);
    if (renewed) continue;
    // The fence decides; until then a missed renewal costs nothing but a repeat that runs for itself.
    log_.warn("idempotent_claim_not_renewed", {kv("request_id", claim.first), kv("reason", renewed.error().reason)});
  }
}

awaitable<void> IdempotencyDesk::let_go_unsure() {
  const std::vector<Unsure> claims = std::exchange(unsure_, {});
  bool is_away = false;
  for (Unsure claim : claims) {
    if (!is_away) {
      const Status released = co_await store_.release(claim.name, claim.owner);
      if (released) continue;
      is_away = released.error().code == Code::kUnavailable;
      // Not held by it: the claim may still stand before the store, behind what was sent later on another connection.
      if (!is_away && clock_.mono() >= claim.until) continue;
    }
    if (is_away) claim.until = clock_.mono() + kUnsureFor;
    unsure_.push_back(std::move(claim));
  }
}

}  // namespace tidegate::gateway
