#include "gateway/money/meter.h"

#include <fmt/format.h>

#include "base/crypto/end_user.h"
#include "gateway/money/price_change.h"

namespace tidegate::gateway {
namespace {

std::unexpected<Error> price_missing(std::string_view model) {
  return fail(Code::kFailedPrecondition, "price_missing",
              fmt::format("the model '{}' has no price for this account until the end of the request", model), "model");
}

std::unexpected<Error> draining() {
  return fail(Code::kUnavailable, "draining", "this gateway is shutting down; try again on another one");
}

std::string rate_text(const price::PriceBook& book, const price::PriceVersion& version, const price::Schedule& schedule,
                      price::Meter meter, price::Ratio factor) {
  const Rate rate = book.rate_of(version, schedule, meter);
  if (factor.is_one()) return rate.to_string();
  return price::scaled(rate.amount(1'000'000), factor).to_string();
}

}  // namespace

void LiveMeter::open(std::weak_ptr<ChargeContext> context) {
  context_ = std::move(context);
  State expected = State::kStarting;
  state_.compare_exchange_strong(expected, State::kOpen);
}

Result<std::shared_ptr<ChargeContext>> LiveMeter::context() const {
  switch (state_.load()) {
    case State::kStarting:
      return fail(Code::kUnavailable, "billing_unreachable", "this gateway is still starting; try again soon");
    case State::kDraining:
      return draining();
    case State::kOpen:
      break;
  }
  auto context = context_.lock();
  if (!context) return fail(Code::kUnavailable, "draining", "this gateway is shutting down");
  if (context->journal.is_full()) {
    return fail(Code::kUnavailable, "journal_full",
                "this gateway holds too much usage that billing has not taken yet; try again soon");
  }
  return context;
}

Result<LiveMeter::Priced> LiveMeter::price(AdmissionRequest request) const {
  Priced priced;
  AdmittedRequest& admitted = priced.admitted;
  admitted.request = std::move(request);
  admitted.book = feed_.prices();
  admitted.clock_error = feed_.clock_error();
  admitted.admitted = clock_.wall();
  admitted.admitted_mono = clock_.mono();
  admitted.budget = admitted.request.budget > Duration::zero() ? admitted.request.budget : config_.budget;
  if (admitted.clock_error > price::kClockErrorMax) {
    return fail(Code::kUnavailable, "clock_error", "this gateway's clock differs from billing's; nothing can be priced");
  }
  const price::PriceKey key{.model = admitted.request.model,
                            .currency = admitted.request.principal->currency,
                            .region = admitted.request.region,
                            .pool = admitted.request.pool,
                            .tenant = admitted.request.principal->tenant_text};
  const price::PriceVersion* version = admitted.book->version_at(key, admitted.admitted);
  if (version == nullptr) return price_missing(admitted.request.model);
  priced.band = admitted.book->schedule_at(*version, admitted.admitted).name;
  const Wall until = admitted.admitted + std::chrono::duration_cast<std::chrono::microseconds>(admitted.budget);
  auto worst = admitted.book->worst_case(key, admitted.admitted, until, admitted.request.prompt_tokens_max,
                                         admitted.request.completion_tokens_max);
  if (!worst) {
    if (worst.error().reason == "price_missing") return price_missing(admitted.request.model);
    return fail(worst.error());
  }
  priced.worst_case = *worst;
  return priced;
}

std::vector<NodeId> LiveMeter::caps_of(const AdmissionRequest& request) const {
  const auto table = feed_.caps();
  const Principal& principal = *request.principal;
  Uuid end_user;
  if (!request.end_user.empty() && table->counts_users(principal.tenant)) {
    end_user = end_user_id(pepper_, principal.tenant, request.end_user);
  }
  std::vector<NodeId> caps;
  table->find(principal, end_user, caps);
  return caps;
}

awaitable<Result<std::unique_ptr<Charge>>> LiveMeter::admit(AdmissionRequest request) {
  TG_CO_ASSIGN(auto context, context());
  // What a drain must wait for begins here, not at the charge: between the two lie a lease and a disk, and usage that is
  // written after the epoch was closed would be nobody's.
  const OpenCharge open(*context);
  if (state_.load() != State::kOpen) co_return draining();
  TG_CO_ASSIGN(Priced priced, price(std::move(request)));
  const WalletId wallet = priced.admitted.request.principal->wallet;
  const Mono give_up = clock_.mono() + config_.lease_wait;
  const std::vector<NodeId> caps = caps_of(priced.admitted.request);
  TG_CO_ASSIGN(priced.admitted.hold, co_await context->leases.hold(wallet, caps, priced.worst_case, give_up));

  const Hold hold = priced.admitted.hold;
  Record record = LiveCharge::admit_record(priced.admitted, context->receipts.issuer());
  auto start = [&context, &record](Resume<Result<std::uint64_t>> resume) {
    context->journal.append(std::move(record), std::move(resume));
  };
  auto cancel = [] {};
  auto waiting = suspend<Result<std::uint64_t>>(std::move(start), std::move(cancel));
  const Result<std::uint64_t> written = co_await std::move(waiting);
  if (!written) {
    context->leases.settle(wallet, hold, Money());
    co_return fail(written.error());
  }
  context->metrics.admitted.add();
  std::unique_ptr<Charge> charge =
      std::make_unique<LiveCharge>(std::move(context), std::move(priced.admitted), std::move(priced.band));
  co_return charge;
}

bool LiveMeter::has_same_price(const Principal& principal, std::string_view model,
                               std::pair<std::string_view, std::string_view> one,
                               std::pair<std::string_view, std::string_view> other) const {
  const auto book = feed_.prices();
  const Wall now = clock_.wall();
  const auto version_in = [&](const std::pair<std::string_view, std::string_view>& pool) {
    const price::PriceKey key{.model = model,
                              .currency = principal.currency,
                              .region = pool.first,
                              .pool = pool.second,
                              .tenant = principal.tenant_text};
    return book->version_at(key, now);
  };
  const price::PriceVersion* version = version_in(one);
  return version != nullptr && version == version_in(other);
}

std::optional<Meter::Quote> LiveMeter::quote(const Principal& principal, std::string_view model) const {
  const auto book = feed_.prices();
  const Wall now = clock_.wall();
  const price::PriceKey key{.model = model,
                            .currency = principal.currency,
                            .region = config_.region,
                            .pool = config_.pool,
                            .tenant = principal.tenant_text};
  const price::PriceVersion* version = book->version_at(key, now);
  if (version == nullptr) return std::nullopt;
  const price::Schedule& schedule = book->schedule_at(*version, now);
  const price::Ratio factor = book->factor_at(key.tenant, key.model, now);
  Quote quote{.band = schedule.name,
              .currency = version->currency,
              .price_version = fmt::format("{}/{}", version->book, version->id),
              .prompt_hit = rate_text(*book, *version, schedule, price::Meter::kInputCacheHit, factor),
              .prompt_miss = rate_text(*book, *version, schedule, price::Meter::kInputCacheMiss, factor),
              .output = rate_text(*book, *version, schedule, price::Meter::kOutput, factor)};
  const auto change = next_price_change(*book, *version, key, now);
  if (change) quote.until_us = unix_micros(*change);
  return quote;
}

}  // namespace tidegate::gateway
