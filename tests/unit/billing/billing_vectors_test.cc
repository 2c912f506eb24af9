#include "billing/vectors/billing_vectors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "billing/core/rerating.h"

namespace tidegate::billing {
namespace {

std::string vectors_text() {
  std::ifstream file(TG_SOURCE_DIR "/tests/golden/rating-vectors.json");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(BillingVectors, AllSixtySixPassAndNoneIsSkipped) {
  const auto report = run_every_vector(vectors_text());
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->passed, 66) << report->to_text();
  EXPECT_EQ(report->failed, 0) << report->to_text();
  EXPECT_TRUE(report->skipped.empty()) << report->to_text();
}

enum class Slip {
  kGraduatedAsVolume,
  kVolumeAsGraduated,
  kTierBoundaryInTheUpperTier,
  kMonthForgotten,
  kExpiryInclusive,
  kModelsIgnored,
  kPriorityIgnored,
  kPaidFirst,
  kLeaseUnchecked,
  kSequenceForgotten,
  kBilledInItsOwnMonth,
  kOnlyTheDifferencePosted,
};
constexpr std::pair<Slip, const char*> kSlips[] = {
    {Slip::kGraduatedAsVolume, "graduated as volume"},
    {Slip::kVolumeAsGraduated, "volume as graduated"},
    {Slip::kTierBoundaryInTheUpperTier, "tier boundary in the upper tier"},
    {Slip::kMonthForgotten, "month's quantity forgotten"},
    {Slip::kExpiryInclusive, "expiry inclusive"},
    {Slip::kModelsIgnored, "grant's models ignored"},
    {Slip::kPriorityIgnored, "grant's priority and expiry ignored"},
    {Slip::kPaidFirst, "paid balance first"},
    {Slip::kLeaseUnchecked, "lease without a look at the wallet"},
    {Slip::kSequenceForgotten, "sequences of a batch forgotten"},
    {Slip::kBilledInItsOwnMonth, "late usage billed in its own month"},
    {Slip::kOnlyTheDifferencePosted, "only the difference posted"},
};

class Slipping final : public BillingVectorSubject {
 public:
  explicit Slipping(Slip slip) : slip_(slip) {}

  Allowance allowance(const AllowancePlan& plan, std::int64_t prior, const price::RatedRequest& rated) override {
    AllowancePlan changed = plan;
    if (slip_ == Slip::kGraduatedAsVolume) changed.kind = AllowanceKind::kVolume;
    if (slip_ == Slip::kVolumeAsGraduated) changed.kind = AllowanceKind::kGraduated;
    if (slip_ == Slip::kMonthForgotten) prior = 0;
    if (slip_ == Slip::kTierBoundaryInTheUpperTier) {
      for (auto& tier : changed.tiers) tier.over = std::max<std::int64_t>(0, tier.over - 1);
    }
    return BillingVectorSubject::allowance(changed, prior, rated);
  }
  BurnDown burn(std::vector<GrantState> grants, Money charge, Wall instant, std::string_view model) override {
    for (auto& grant : grants) {
      if (slip_ == Slip::kExpiryInclusive) grant.expires_at += std::chrono::microseconds(1);
      if (slip_ == Slip::kModelsIgnored) grant.models.clear();
      if (slip_ == Slip::kPriorityIgnored) {
        grant.priority = 0;
        if (grant.expires_at > instant) grant.expires_at = Wall::max();
      }
    }
    if (slip_ == Slip::kPaidFirst) return {{}, charge};
    return BillingVectorSubject::burn(std::move(grants), charge, instant, model);
  }
  Result<Money> lease(const LeaseRequest& request) override {
    if (slip_ == Slip::kLeaseUnchecked) return request.want;
    return BillingVectorSubject::lease(request);
  }
  Result<BatchSplit> split(const std::vector<std::uint64_t>& sequences, std::uint64_t applied_through) override {
    // A gap is what forgetting looks like: the batch is refused instead of acknowledged.
    if (slip_ == Slip::kSequenceForgotten && applied_through > 0)
      return fail(Code::kFailedPrecondition, "sequence_gap", "");
    return BillingVectorSubject::split(sequences, applied_through);
  }
  Result<ChargePeriod> period(std::string_view zone, Wall completed, Wall posted) override {
    return BillingVectorSubject::period(zone, completed, slip_ == Slip::kBilledInItsOwnMonth ? completed : posted);
  }
  std::vector<Money> rerating(Money original, Money corrected) override {
    if (slip_ == Slip::kOnlyTheDifferencePosted) return {corrected - original};
    return BillingVectorSubject::rerating(original, corrected);
  }

 private:
  Slip slip_;
};

class EverySlip : public testing::TestWithParam<std::pair<Slip, const char*>> {};

TEST_P(EverySlip, IsNoticed) {
  Slipping subject(GetParam().first);
  const auto rater = price::product_subject();
  const auto report = price::run_vectors(vectors_text(), *rater, billing_kinds(subject));
  ASSERT_TRUE(report);
  fmt::print("[ mutant   ] {}: {} vectors fail\n", GetParam().second, report->failed);
  EXPECT_GT(report->failed, 0) << GetParam().second;
}

INSTANTIATE_TEST_SUITE_P(BillingVectors, EverySlip, testing::ValuesIn(kSlips));

TEST(Rerating, TwiceIsOnce) {
  EXPECT_TRUE(rerating_postings(Money::from_pico(5), Money::from_pico(5)).empty());
  EXPECT_EQ(rerating_postings(Money(), Money::from_pico(5)).size(), 1U) << "nothing to take back";
  EXPECT_EQ(rerating_postings(Money::from_pico(5), Money()).size(), 1U);
}

TEST(ChargePeriod, ALateRequestIsACorrectionOfTheOpenMonth) {
  const auto at = [](std::string_view text) { return parse_rfc3339(text).value(); };
  const auto late = charge_period("Asia/Shanghai", at("2026-09-30T15:59:59Z"), at("2026-10-03T00:00:00Z")).value();
  EXPECT_EQ(late.month, "2026-10");
  EXPECT_TRUE(late.is_correction);
  EXPECT_EQ(late.hour, at("2026-09-30T15:00:00Z"));
  EXPECT_FALSE(charge_period("Asia/Shanghai", at("2026-09-30T16:00:00Z"), at("2026-10-03T00:00:00Z"))->is_correction);
  EXPECT_FALSE(charge_period("Mars/Olympus", Wall(), Wall()));
}

}  // namespace
}  // namespace tidegate::billing
