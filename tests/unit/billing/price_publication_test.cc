#include "billing/core/price_publication.h"

#include <gtest/gtest.h>

#include "tests/unit/base/price/price_lists.h"

namespace tidegate::billing::price_publication_test {
namespace {

using price::at;
using price::Calendar;
using price::PriceBook;
using price::PriceVersion;
using price::tide;

constexpr auto kLead = std::chrono::minutes(15);
const Wall kNow = at("2026-11-22T12:00:00Z");

PriceVersion file_version() {
  PriceVersion version = tide();
  version.id = 0;
  return version;
}
PriceBook published(std::vector<PriceVersion> versions, std::vector<Calendar> calendars = {}) {
  return PriceBook::build(std::move(versions), std::move(calendars)).value();
}
Error refusal(const PriceBook& book, std::vector<PriceVersion> versions) {
  const auto plan = plan_publication(book, {std::move(versions), {}}, kNow, kLead);
  EXPECT_FALSE(plan) << "accepted";
  return plan ? Error() : plan.error();
}

TEST(PricePublication, TheFirstListStartsWhenItLikes) {
  const auto plan = plan_publication(PriceBook(), {{file_version()}, {}}, kNow, kLead);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->add.size(), 1u);
}

TEST(PricePublication, TheSameContentChangesNothing) {
  const auto plan = plan_publication(published({tide(7)}), {{file_version()}, {}}, kNow, kLead);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->unchanged, 1);
  EXPECT_TRUE(plan->add.empty());
}

TEST(PricePublication, APublishedPriceDoesNotChange) {
  PriceVersion other = file_version();
  other.schedules[0].rates["output"] = Rate::from_micro_per_million(401);
  EXPECT_NE(refusal(published({tide(7)}), {other}).message.find("already published with other content"), std::string::npos);
}

TEST(PricePublication, AnEndMovesBeyondTheLeadTimeOnly) {
  PriceVersion ended = file_version();
  ended.effective_to = kNow + std::chrono::minutes(14);
  EXPECT_EQ(refusal(published({tide(7)}), {ended}).field, "effective_to");
  ended.effective_to = kNow + std::chrono::minutes(15);
  const auto plan = plan_publication(published({tide(7)}), {{ended}, {}}, kNow, kLead);
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->ends.size(), 1u);
  EXPECT_EQ(plan->ends[0].id, 7);
  PriceVersion past = tide(7);
  past.effective_to = at("2026-06-01T00:00:00Z");
  EXPECT_EQ(refusal(published({past}), {file_version()}).field, "effective_to") << "the past stays as it was";
}

TEST(PricePublication, EndingOneBookAndBeginningTheNextIsOneFile) {
  PriceVersion ended = file_version(), next = file_version();
  ended.effective_to = next.effective_from = kNow + std::chrono::hours(1);
  next.book = "tide-2";
  const auto plan = plan_publication(published({tide(7)}), {{ended, next}, {}}, kNow, kLead);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->ends.size(), 1u);
  EXPECT_EQ(plan->add.size(), 1u);
}

TEST(PricePublication, AMoreSpecificPriceWaitsForTheLeadTimeToo) {
  PriceVersion pool = file_version();
  pool.book = "pool";
  pool.pool = "h200";
  EXPECT_EQ(refusal(published({tide(7)}), {pool}).field, "effective_from");
  pool.effective_from = kNow + kLead;
  EXPECT_TRUE(plan_publication(published({tide(7)}), {{pool}, {}}, kNow, kLead));
}

TEST(PricePublication, OverlapsAreRefused) {
  PriceVersion next = file_version();
  next.book = "tide-2";
  next.effective_from = kNow + std::chrono::hours(1);
  EXPECT_EQ(refusal(published({tide(7)}), {next}).field, "effective_from");
}

TEST(PricePublication, AnotherListOfDaysIsAnotherVersionOfTheCalendar) {
  const auto day = [](const char* text) { return price::parse_date(text).value(); };
  PriceVersion version = file_version();
  version.schedules[1].exclude_calendar = "C";
  auto plan = plan_publication(PriceBook(), {{version}, {{"C", 0, {day("2026-10-02"), day("2026-10-01"), day("2026-10-01")}}}}, kNow, kLead);
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->calendars.size(), 1u);
  EXPECT_EQ(plan->calendars[0].version, 1);
  EXPECT_EQ(plan->calendars[0].days.size(), 2u);
  EXPECT_EQ(plan->add[0].schedules[1].calendar_version, 1);

  PriceVersion stored = plan->add[0];
  stored.id = 7;
  const auto book = published({stored}, plan->calendars);
  plan = plan_publication(book, {{version}, {{"C", 0, {day("2026-10-01"), day("2026-10-02")}}}}, kNow, kLead);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->unchanged, 1) << "the order of days does not matter";
  EXPECT_TRUE(plan->calendars.empty());
  const auto changed = plan_publication(book, {{version}, {{"C", 0, {day("2026-10-03")}}}}, kNow, kLead);
  EXPECT_FALSE(changed) << "a published book keeps its days";
}

TEST(PricePublication, CanonicalTextSeesEveryDifference) {
  const std::string text = canonical_text(tide());
  EXPECT_EQ(text, canonical_text(tide(99))) << "the id is not content";
  for (auto spoil : {+[](PriceVersion& v) { v.pool = "p"; }, +[](PriceVersion& v) { v.effective_to = kNow; },
                     +[](PriceVersion& v) { v.basis = price::Basis::kAdmittedAt; },
                     +[](PriceVersion& v) { v.schedules[1].days.pop_back(); },
                     +[](PriceVersion& v) { v.schedules[1].windows[0].end_s += 1; },
                     +[](PriceVersion& v) { v.schedules[1].tz = "UTC"; },
                     +[](PriceVersion& v) { v.schedules[0].rates["output"] = Rate(); }}) {
    PriceVersion other = tide();
    spoil(other);
    EXPECT_NE(canonical_text(other), text);
  }
}

PriceVersion contract(std::int64_t id) {
  PriceVersion version = tide(id);
  version.book = "contract";
  version.tenant = "t1";
  return version;
}

TEST(PricePublication, AContractTakesOverFromTheListAndTheListNotFromIt) {
  PriceVersion late = contract(0);
  late.effective_from = kNow + kLead;
  EXPECT_TRUE(plan_publication(published({tide(7)}), {{late}, {}}, kNow, kLead));
  late.effective_from = kNow;
  EXPECT_EQ(refusal(published({tide(7)}), {late}).field, "effective_from");
  // Only t1 has a price so far, and keeps it.
  EXPECT_TRUE(plan_publication(published({contract(7)}), {{file_version()}, {}}, kNow, kLead));
}

TEST(PricePublication, AModifierIsAddedOnceAndOnlyItsEndMoves) {
  const price::Modifier launch{.id = 0, .name = "launch", .factor = {1, 2}, .effective_from = kNow + 2 * kLead};
  const PriceDraft draft{{}, {}, {launch}};
  const auto plan = plan_publication(published({tide(7)}), draft, kNow, kLead);
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->add_modifiers.size(), 1u);
  price::Modifier stored = launch;
  stored.id = 3;
  const PriceBook book = PriceBook::build({tide(7)}, {}, {stored}).value();
  EXPECT_EQ(plan_publication(book, draft, kNow, kLead)->unchanged, 1);
  price::Modifier ended = launch;
  ended.effective_to = kNow + 4 * kLead;
  EXPECT_EQ(plan_publication(book, {{}, {}, {ended}}, kNow, kLead)->modifier_ends.size(), 1u);
  price::Modifier soon = launch;
  soon.effective_from = kNow;
  EXPECT_EQ(plan_publication(book, {{}, {}, {soon}}, kNow, kLead).error().field, "effective_from");
  EXPECT_TRUE(plan_modifier_withdrawal(book, 3, kNow, kLead));
  EXPECT_EQ(plan_modifier_withdrawal(book, 3, kNow + 2 * kLead, kLead).error().reason, "price_in_force");
  EXPECT_EQ(plan_modifier_withdrawal(book, 4, kNow, kLead).error().reason, "unknown_modifier");
}

TEST(PricePublication, WhatAWithdrawnVersionWouldEndGoesOnUntilItsEnd) {
  PriceVersion first = tide(7), next = tide(8);
  next.book = "next";
  next.effective_from = kNow + 2 * kLead;
  next.effective_to = kNow + 9 * kLead;
  first.effective_to = next.effective_from;
  const auto plan = plan_withdrawal(published({first, next}), 8, kNow, kLead);
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_TRUE(plan->resumed);
  EXPECT_EQ(plan->resumed->id, 7);
  EXPECT_EQ(plan->resumed->effective_to, next.effective_to);
  EXPECT_EQ(plan_withdrawal(published({first, next}), 7, kNow, kLead).error().reason, "price_in_force");
}

TEST(PricePublication, APreviewPutsTheDraftInPlaceOfWhatItNames) {
  PriceVersion draft = file_version();
  draft.book = "draft";
  draft.effective_from = kNow + 100 * kLead;
  PriceVersion other = tide(8);
  other.model = "other";
  const Wall from = kNow - std::chrono::hours(48), to = kNow;
  const auto book = preview_book(published({tide(7), other}), {{draft}, {}}, from, to);
  ASSERT_TRUE(book) << book.error().to_string();
  EXPECT_EQ(book->version_at({draft.model, draft.currency, "", ""}, from)->book, "draft");
  EXPECT_EQ(book->version_at({"other", draft.currency, "", ""}, from)->id, 8);
  draft.effective_from = kNow - std::chrono::hours(100);
  draft.effective_to = kNow - std::chrono::hours(1);
  EXPECT_EQ(preview_book(published({tide(7)}), {{draft}, {}}, from, to).error().field, "effective_to");
  EXPECT_EQ(preview_book(published({tide(7)}), {{draft}, {}}, to, from).error().reason, "bad_range");
}

}  // namespace
}  // namespace tidegate::billing::price_publication_test
