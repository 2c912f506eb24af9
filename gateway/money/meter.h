#pragma once

#include "gateway/money/charge.h"

namespace tidegate::gateway {

struct MeterConfig {
  std::string region = "local";
  std::string pool = "cpu";  ///< of quotes; a request brings the pool that serves it
  /// How long a request may wait for billing when its wallet's lease is short.
  Duration lease_wait = std::chrono::seconds(2);
  /// For requests that bring no deadline.
  Duration budget = std::chrono::seconds(600);
};

/// The door to money: price, hold, ADMIT on disk, charge. Closed until open(); any thread.
class LiveMeter final : public Meter {
 public:
  /// `pepper` hides end users' names (base/crypto/end_user.h).
  LiveMeter(MeterConfig config, std::string pepper, const AccountsFeed& feed, const Clock& clock)
      : config_(config), pepper_(std::move(pepper)), feed_(feed), clock_(clock) {}

  /// weak_ptr: the context is part of what owns the meter.
  void open(std::weak_ptr<ChargeContext> context);
  /// Refuses from here on with unavailable/draining.
  void close() { state_.store(State::kDraining); }

  awaitable<Result<std::unique_ptr<Charge>>> admit(AdmissionRequest request) override;
  std::optional<Quote> quote(const Principal& principal, std::string_view model) const override;
  bool has_same_price(const Principal& principal, std::string_view model,
                      std::pair<std::string_view, std::string_view> one,
                      std::pair<std::string_view, std::string_view> other) const override;

 private:
  enum class State : std::uint8_t { kStarting, kOpen, kDraining };
  struct Priced {
    AdmittedRequest admitted;
    Money worst_case;
    std::string band;
  };
  Result<std::shared_ptr<ChargeContext>> context() const;
  Result<Priced> price(AdmissionRequest request) const;
  std::vector<NodeId> caps_of(const AdmissionRequest& request) const;

  const MeterConfig config_;
  const std::string pepper_;
  const AccountsFeed& feed_;
  const Clock& clock_;
  std::weak_ptr<ChargeContext> context_;
  std::atomic<State> state_ = State::kStarting;
};

}  // namespace tidegate::gateway
