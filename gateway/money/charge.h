#pragma once

#include "base/core/log.h"
#include "gateway/journal/journal.h"
#include "gateway/money/accounts_feed.h"
#include "gateway/money/lease_keeper.h"
#include "gateway/money/money_metrics.h"
#include "gateway/money/price_change.h"
#include "gateway/money/receipt_desk.h"
#include "gateway/ports.h"
#include "tidegate/v1/billing.pb.h"

namespace tidegate::gateway {

/// Where a charge finds the rest of the money half.
struct ChargeContext {
  Journal& journal;
  LeaseKeeper& leases;
  MeterMetrics& metrics;
  const Clock& clock;
  Log& log;
  const AccountsFeed& feed;
  ReceiptDesk& receipts;
  std::atomic<std::int64_t> open_charges = 0;  ///< admissions under way included
  std::atomic<bool> is_draining = false;
  AsyncSignal charge_ended;  ///< notified while draining
  PriceChanges price_changes = {};
};

/// Counts as an open charge while it lives: a drain waits for it. Made before the door is looked at, so that a drain
/// either sees it or has closed the door before.
class OpenCharge {
 public:
  explicit OpenCharge(ChargeContext& context) : context_(context) { context_.open_charges.fetch_add(1); }
  ~OpenCharge() {
    context_.open_charges.fetch_sub(1);
    if (context_.is_draining.load()) context_.charge_ended.notify();
  }
  OpenCharge(const OpenCharge&) = delete;
  OpenCharge& operator=(const OpenCharge&) = delete;

 private:
  ChargeContext& context_;
};

/// What admission decided.
struct AdmittedRequest {
  AdmissionRequest request;
  Hold hold;
  std::shared_ptr<const price::PriceBook> book;  ///< the one the hold was computed from; kept by the request
  Wall admitted;
  Mono admitted_mono;
  Duration budget = {};
  std::chrono::microseconds clock_error{0};
};

/// One admitted request's money.
///
/// The customer never pays more than was held, and the amount is one that billing computes again from the
/// event:
/// - completed_us is the admission plus monotonic time, and never later than the deadline: for pricing a
/// request is
///   over then. A jump of the wall clock moves nothing.
/// - Counts above the held bounds (an engine's mistake) are cut to them, logged and counted.
/// - It is rated by the newest book; where that would exceed the hold (a version published meanwhile), by the
/// book of
///   its admission, which cannot.
/// - A failed request that delivered nothing is charged nothing.
class LiveCharge final : public Charge {
 public:
  LiveCharge(std::shared_ptr<ChargeContext> context, AdmittedRequest admitted, std::string band);
  ~LiveCharge() override;

  void on_accepted(const TokenUsage& usage, std::string_view worker_id) override;
  void on_progress(const TokenUsage& usage) override;
  awaitable<Result<Settlement>> settle(FinalReport report) override;
  std::string_view band() const override { return band_; }
  std::optional<Wall> price_until() const override;

  /// The ADMIT record: whose request it is. Also the beginning of its FINAL.
  static Record admit_record(const AdmittedRequest& admitted, const ReceiptIssuer& issuer);
  static void fill_admit(v1::UsageEvent& event, const AdmittedRequest& admitted, const ReceiptIssuer& issuer);

 private:
  struct Rated {
    TokenUsage usage;
    Wall completed;
    price::RatedRequest price;
    v1::PriceBasis basis = v1::PRICE_BASIS_UNSPECIFIED;
  };
  Wall now_for_pricing(Mono now) const;
  TokenUsage bounded(TokenUsage usage) const;
  Result<Rated> rate(const TokenUsage& usage, Wall completed) const;
  void abandon();
  void fill(v1::UsageEvent& event, const Rated& rated) const;
  /// A FINAL and the receipt that gets its place together with it.
  struct Closed {
    Record record;
    ReceiptDesk::DraftPtr receipt;
  };
  Closed final_record(const Rated& rated, v1::UsageStatus status, const FinalReport& report) const;
  Closed close(const FinalReport& report, Settlement& settlement);
  price::PriceKey key() const;
  RequestId request() const { return admitted_.request.request; }
  WalletId wallet() const { return admitted_.request.principal->wallet; }

  // shared_ptr: requests outlive the object that admitted them when a process ends in disorder.
  std::shared_ptr<ChargeContext> context_;
  OpenCharge open_;
  AdmittedRequest admitted_;
  std::string band_;
  std::string worker_id_;
  std::optional<Wall> started_;
  std::int64_t prompt_max_;
  std::int64_t completion_max_;
  TokenUsage reported_;
  Wall reported_at_;
  std::int64_t journalled_completion_ = 0;
  Mono journalled_at_;
  bool is_settled_ = false;
};

}  // namespace tidegate::gateway
