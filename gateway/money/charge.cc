#include "gateway/money/charge.h"

#include <fmt/format.h>
#include <google/protobuf/arena.h>

#include <algorithm>

#include "base/core/check.h"

namespace tidegate::gateway {
namespace {

// M2: a crash loses at most this much of an unfinished stream.
constexpr std::int64_t kProgressTokens = 64;
constexpr Duration kProgressInterval = std::chrono::milliseconds(250);

v1::UsageStatus status_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kCompleted: return v1::USAGE_STATUS_COMPLETED;
    case Outcome::kCancelled: return v1::USAGE_STATUS_CANCELLED;
    case Outcome::kFailed: return v1::USAGE_STATUS_FAILED;
  }
  return v1::USAGE_STATUS_FAILED;
}

v1::PriceBasis basis_of(const price::PriceBook& book, std::int64_t price_version) {
  const price::PriceVersion* version = book.find(price_version);
  TG_CHECK(version != nullptr);  // the book has just rated with it
  switch (version->basis) {
    case price::Basis::kCompletedAt:
      return v1::PRICE_BASIS_COMPLETED_AT;
    case price::Basis::kAdmittedAt:
      return v1::PRICE_BASIS_ADMITTED_AT;
    case price::Basis::kStartedAt:
      return v1::PRICE_BASIS_STARTED_AT;
  }
  return v1::PRICE_BASIS_UNSPECIFIED;
}

/// An event until its record has its bytes. Some forty parts that lie beside each other, and are not freed one by one.
class EventDraft {
 public:
  v1::UsageEvent& event() { return *event_; }

 private:
  static google::protobuf::ArenaOptions one_block() {
    google::protobuf::ArenaOptions options;
    options.start_block_size = 4'096;  // all of it, as a rule
    return options;
  }
  google::protobuf::Arena arena_{one_block()};
  v1::UsageEvent* event_ = google::protobuf::Arena::CreateMessage<v1::UsageEvent>(&arena_);
};

bool is_over(const TokenUsage& usage, std::int64_t prompt_max, std::int64_t completion_max) {
  return usage.prompt > prompt_max || usage.completion > completion_max;
}

}  // namespace

LiveCharge::LiveCharge(std::shared_ptr<ChargeContext> context, AdmittedRequest admitted, std::string band)
    : context_(std::move(context)),
      open_(*context_),
      admitted_(std::move(admitted)),
      band_(std::move(band)),
      prompt_max_(admitted_.request.prompt_tokens_max),
      completion_max_(admitted_.request.completion_tokens_max),
      reported_at_(admitted_.admitted),
      journalled_at_(admitted_.admitted_mono) {
  context_->metrics.open_charges.add(1);
}

LiveCharge::~LiveCharge() {
  if (!is_settled_) abandon();
  context_->metrics.open_charges.add(-1);
}

void LiveCharge::abandon() {
  context_->metrics.abandoned.add();
  context_->log.error("charge_abandoned", {kv("request_id", request().to_string())});
  FinalReport report;
  report.outcome = Outcome::kFailed;
  report.finish_reason = "error";
  report.usage = reported_;
  report.worker_id = worker_id_;
  Settlement settlement;
  Closed closed = close(report, settlement);
  // Not the shared_ptr: the last owner must not end on the journal's own thread, which it would wait for. Open until its
  // FINAL is durable: a drain takes what it finds then for the last one.
  auto done = [context = context_.get(), open = std::make_shared<OpenCharge>(*context_), wallet = wallet(),
               hold = admitted_.hold, spent = settlement.amount](const Result<std::uint64_t>& sequence) {
    if (sequence) context->leases.settle(wallet, hold, spent);
  };
  context_->journal.append(std::move(closed.record), std::move(done));
}

void LiveCharge::on_accepted(const TokenUsage& usage, std::string_view worker_id) {
  worker_id_ = worker_id;
  if (!started_) started_ = now_for_pricing(context_->clock.mono());
  reported_.prompt = std::clamp<std::int64_t>(usage.prompt, 0, prompt_max_);
  reported_.cached = std::clamp<std::int64_t>(usage.cached, 0, reported_.prompt);
  if (usage.prompt < 0 || usage.prompt >= prompt_max_) return;
  // The bound before tokenising was bytes of text: several times the truth. The rest serves other requests at once.
  const Wall until = admitted_.admitted + std::chrono::duration_cast<std::chrono::microseconds>(admitted_.budget);
  const auto needed =
      admitted_.book->worst_case(key(), admitted_.admitted, until, usage.prompt, completion_max_);
  prompt_max_ = usage.prompt;
  if (needed && *needed < admitted_.hold.amount) context_->leases.shrink(wallet(), admitted_.hold, *needed);
}

void LiveCharge::on_progress(const TokenUsage& usage) {
  if (is_settled_) return;
  const TokenUsage flushed = reported_;
  const Wall flushed_at = reported_at_;
  reported_ = bounded(usage);
  const Mono now = context_->clock.mono();
  reported_at_ = now_for_pricing(now);
  // A unary answer without a FINAL is void: the client has nothing of it.
  if (!admitted_.request.is_stream || flushed.completion == 0) return;
  // What is being reported now may never leave; the report before it has. Record k+1 says "through k" (never
  // against the customer).
  const bool is_due = reported_.completion - journalled_completion_ >= kProgressTokens ||
                      now - journalled_at_ >= kProgressInterval;
  if (!is_due || flushed.completion == journalled_completion_) return;
  const auto rated = rate(flushed, flushed_at);
  if (!rated) return;
  EventDraft draft;
  v1::UsageEvent& event = draft.event();
  fill(event, *rated);
  Record record{.type = RecordType::kProgress, .sequence = 0, .request = request(), .payload = event.SerializeAsString()};
  context_->journal.append_progress(std::move(record));
  journalled_completion_ = flushed.completion;
  journalled_at_ = now;
}

awaitable<Result<Settlement>> LiveCharge::settle(FinalReport report) {
  TG_CHECK(!is_settled_);
  Settlement settlement;
  Closed closed = close(report, settlement);
  auto start = [this, &closed](Resume<Result<std::uint64_t>> resume) {
    context_->journal.append(std::move(closed.record), std::move(resume));
  };
  // The client may go away meanwhile; the request is finished all the same.
  auto cancel = [] {};
  auto waiting = suspend<Result<std::uint64_t>>(std::move(start), std::move(cancel));
  TG_CO_TRY(co_await std::move(waiting));
  context_->leases.settle(wallet(), admitted_.hold, settlement.amount);
  context_->metrics.settled.add();
  settlement.receipt = context_->receipts.sign(*closed.receipt);
  co_return settlement;
}

LiveCharge::Closed LiveCharge::close(const FinalReport& report, Settlement& settlement) {
  is_settled_ = true;
  if (!report.worker_id.empty()) worker_id_ = report.worker_id;
  if (is_over(report.usage, prompt_max_, completion_max_)) {
    context_->metrics.overruns.add();
    context_->log.error("usage_above_hold",
                        {kv("request_id", request().to_string()), kv("prompt_tokens", report.usage.prompt),
                         kv("prompt_tokens_max", prompt_max_), kv("completion_tokens", report.usage.completion),
                         kv("completion_tokens_max", completion_max_)});
  }
  TokenUsage usage = bounded(report.usage);
  if (report.outcome == Outcome::kFailed && usage.completion == 0) usage = {};
  const auto rated = rate(usage, now_for_pricing(context_->clock.mono()));
  // Admission proved a price for every instant until the deadline, and held the dearest of them.
  TG_CHECK(rated.has_value());
  TG_CHECK(rated->price.total <= admitted_.hold.amount);
  settlement.amount = rated->price.total;
  settlement.currency = admitted_.request.principal->currency;
  settlement.band = rated->price.band;
  settlement.price_version = fmt::format("{}/{}", rated->price.book, rated->price.price_version);
  return final_record(*rated, status_of(report.outcome), report);
}

Wall LiveCharge::now_for_pricing(Mono now) const {
  const Duration elapsed = std::min(now - admitted_.admitted_mono, admitted_.budget);
  return admitted_.admitted + std::chrono::duration_cast<std::chrono::microseconds>(elapsed);
}

TokenUsage LiveCharge::bounded(TokenUsage usage) const {
  usage.prompt = std::clamp<std::int64_t>(usage.prompt, 0, prompt_max_);
  usage.cached = std::clamp<std::int64_t>(usage.cached, 0, usage.prompt);
  usage.completion = std::clamp<std::int64_t>(usage.completion, 0, completion_max_);
  usage.reasoning = std::clamp<std::int64_t>(usage.reasoning, 0, usage.completion);
  return usage;
}

Result<LiveCharge::Rated> LiveCharge::rate(const TokenUsage& usage, Wall completed) const {
  const price::Instants instants{.admitted = admitted_.admitted,
                                 .started = std::min(started_.value_or(admitted_.admitted), completed),
                                 .completed = completed,
                                 .clock_error = admitted_.clock_error};
  TG_ASSIGN(const auto tokens,
            price::TokenCounts::from_usage(usage.prompt, usage.cached, usage.completion, usage.reasoning));
  const auto newest_book = context_->feed.prices();
  auto newest = newest_book->rate(key(), instants, tokens);
  if (newest && newest->total <= admitted_.hold.amount) {
    const v1::PriceBasis basis = basis_of(*newest_book, newest->price_version);
    return Rated{usage, completed, *std::move(newest), basis};
  }
  context_->metrics.repriced.add();
  TG_ASSIGN(auto pinned, admitted_.book->rate(key(), instants, tokens));
  const v1::PriceBasis basis = basis_of(*admitted_.book, pinned.price_version);
  return Rated{usage, completed, std::move(pinned), basis};
}

void LiveCharge::fill(v1::UsageEvent& event, const Rated& rated) const {
  event.set_worker_id(worker_id_);
  event.set_started_us(unix_micros(std::min(started_.value_or(admitted_.admitted), rated.completed)));
  event.set_completed_us(unix_micros(rated.completed));
  event.set_prompt_tokens(rated.usage.prompt);
  event.set_cached_tokens(rated.usage.cached);
  event.set_completion_tokens(rated.usage.completion);
  event.set_reasoning_tokens(rated.usage.reasoning);
  event.set_price_version(rated.price.price_version);
  event.set_band(rated.price.band);
  event.set_amount(rated.price.total.to_string());
  v1::ReceiptPart* receipt = event.mutable_receipt();
  receipt->set_priced_us(unix_micros(rated.price.priced_at));
  receipt->set_basis(rated.basis);
  receipt->set_price_book(rated.price.book);
  for (const price::RatedLine& line : rated.price.lines) {
    v1::ReceiptPart::Line* to = receipt->add_lines();
    to->set_meter(std::string(price::meter_name(line.meter)));
    to->set_quantity(line.quantity);
    to->set_micro_per_million(line.rate.micro_per_million());
    if (!line.factor.is_one()) to->set_terms("x " + line.factor.to_string());
    to->set_amount(line.amount.to_string());
  }
  if (!rated.price.minimum_top_up.is_zero()) {
    v1::ReceiptPart::Line* to = receipt->add_lines();
    to->set_meter("minimum_charge");
    to->set_terms("up to the minimum of the price version");
    to->set_amount(rated.price.minimum_top_up.to_string());
  }
}

Record LiveCharge::admit_record(const AdmittedRequest& admitted, const ReceiptIssuer& issuer) {
  EventDraft draft;
  v1::UsageEvent& event = draft.event();
  fill_admit(event, admitted, issuer);
  return {.type = RecordType::kAdmit,
          .sequence = 0,
          .request = admitted.request.request,
          .payload = event.SerializeAsString()};
}

void LiveCharge::fill_admit(v1::UsageEvent& event, const AdmittedRequest& admitted, const ReceiptIssuer& issuer) {
  const AdmissionRequest& request = admitted.request;
  event.set_request_id(std::string(request.request.raw()));
  event.set_tenant_id(std::string(request.principal->tenant.raw()));
  event.set_project_id(std::string(request.principal->project.raw()));
  event.set_key_id(std::string(request.principal->key.raw()));
  event.set_wallet_id(std::string(request.principal->wallet.raw()));
  event.set_lease_id(std::string(admitted.hold.lease.raw()));
  for (const CapHold& cap : admitted.hold.caps) event.add_cap_lease_ids(std::string(cap.lease.raw()));
  event.set_model(request.model);
  event.set_region(request.region);
  event.set_pool(request.pool);
  event.set_admitted_us(unix_micros(admitted.admitted));
  event.set_clock_error_us(admitted.clock_error.count());
  event.set_is_stream(request.is_stream);
  event.set_surface(request.surface);
  v1::ReceiptPart* receipt = event.mutable_receipt();
  receipt->set_deployment(issuer.deployment);
  receipt->set_caller(request.principal->public_id);
  receipt->set_currency(request.principal->currency);
}

LiveCharge::Closed LiveCharge::final_record(const Rated& rated, v1::UsageStatus status,
                                            const FinalReport& report) const {
  Closed closed;
  EventDraft draft;
  v1::UsageEvent& event = draft.event();
  fill_admit(event, admitted_, context_->receipts.issuer());
  fill(event, rated);
  event.set_status(status);
  event.set_finish_reason(report.finish_reason);
  event.set_variant(report.variant);
  event.set_weights_digest(report.weights_digest);
  closed.record.type = RecordType::kFinal;
  closed.record.request = request();
  closed.record.payload = event.SerializeAsString();
  auto receipt = context_->receipts.attach(closed.record, event);
  TG_CHECK(receipt.has_value());  // everything in it was made above
  closed.receipt = *std::move(receipt);
  return closed;
}

std::optional<Wall> LiveCharge::price_until() const {
  const price::PriceKey whose = key();
  const price::PriceVersion* version = admitted_.book->version_at(whose, admitted_.admitted);
  if (version == nullptr) return std::nullopt;
  return context_->price_changes.next(admitted_.book, *version, whose, admitted_.admitted);
}

price::PriceKey LiveCharge::key() const {
  return {.model = admitted_.request.model,
          .currency = admitted_.request.principal->currency,
          .region = admitted_.request.region,
          .pool = admitted_.request.pool,
          .tenant = admitted_.request.principal->tenant_text};
}

}  // namespace tidegate::gateway
