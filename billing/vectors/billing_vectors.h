#pragma once

#include <vector>

#include "base/price/vectors.h"
#include "billing/core/allowance.h"
#include "billing/core/batch_sequence.h"
#include "billing/core/grant_burn.h"
#include "billing/core/lease_sizing.h"
#include "billing/core/rerating.h"

/// The kinds of rating vectors that are billing's: tiers by the month's quantity, grants, leases, and what happens to
/// an event that comes twice, late, or is rated anew.
namespace tidegate::billing {

/// What these vectors try. The product is the default; tests put deliberately wrong ones here.
class BillingVectorSubject {
 public:
  virtual ~BillingVectorSubject() = default;
  virtual Allowance allowance(const AllowancePlan& plan, std::int64_t prior, const price::RatedRequest& rated) {
    return allowance_of(plan, prior, rated);
  }
  virtual BurnDown burn(std::vector<GrantState> grants, Money charge, Wall instant, std::string_view model) {
    return burn_down(std::move(grants), charge, instant, model);
  }
  virtual Result<Money> lease(const LeaseRequest& request) { return size_lease(request); }
  /// How many leading events of a batch were applied before.
  virtual Result<BatchSplit> split(const std::vector<std::uint64_t>& sequences, std::uint64_t applied_through) {
    return split_batch(sequences, applied_through);
  }
  virtual Result<ChargePeriod> period(std::string_view zone, Wall completed, Wall posted) {
    return charge_period(zone, completed, posted);
  }
  virtual std::vector<Money> rerating(Money original, Money corrected) {
    return rerating_postings(original, corrected);
  }
};

/// For price::run_vectors(). `subject` outlives it. A tier vector without tiers of its own takes those stated last.
price::ForeignKind billing_kinds(BillingVectorSubject& subject);

/// Every kind there is, against the product.
Result<price::VectorReport> run_every_vector(std::string_view file_text);

}  // namespace tidegate::billing
