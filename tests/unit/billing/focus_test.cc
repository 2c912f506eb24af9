#include "billing/core/focus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "billing/core/csv.h"
#include "tests/support/focus_validator.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::billing::focus_test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Money money(const char* text) { return Money::parse(text).value(); }
Wall at(const char* text) { return parse_rfc3339(text).value(); }

FocusInvoice invoice() {
  FocusInvoice out{"TG-2026-000001",         "CNY",   "Asia/Shanghai", "Tidegate, \"Ltd\"", "t-1",
                   "深圳市潮门科技有限公司", "VAT 6%"};
  out.begin = at("2026-10-31T16:00:00Z");
  out.end = at("2026-11-30T16:00:00Z");
  return out;
}

LinePart usage(std::int64_t day, std::int64_t tokens, LineKind kind = LineKind::kUsage) {
  LinePart part;
  part.key.kind = kind;
  part.key.project = ProjectId{test::SequentialIds::make(1)};
  part.key.model = "tang-moe";
  part.key.band = "peak";
  part.key.meter = "output";
  part.key.price_version = 3;
  part.key.micro_per_million = 3'625;
  part.day = day;
  part.api_key = ApiKeyId{test::SequentialIds::make(2)};
  part.quantity = tokens;
  part.amount = Rate::from_micro_per_million(3'625).amount(tokens);
  return part;
}

std::string export_of(FocusInvoice head, std::vector<LinePart> parts, const std::vector<FocusPayment>& payments = {}) {
  const auto lines = gather_lines(std::move(parts));
  head.totals = total_up(lines, TaxRate{3, 50}, head.currency).value();
  const FocusNames names{[](const ProjectId&) { return std::string("default"); },
                         [](const ApiKeyId&) { return std::string("key, one"); }};
  std::string out = focus_header();
  const auto rows = focus_rows(head, lines, payments, names).value();
  for (const auto& row : rows) append_csv(out, row);
  return out;
}

std::string sample() {
  LinePart refund = usage(20'760, 0, LineKind::kAdjustment);
  refund.key = LineKey{.kind = LineKind::kAdjustment, .source = "refund", .description = "outage, 3 November"};
  refund.api_key = {};
  refund.amount = money("-0.000000000001");
  LinePart grant = refund;
  grant.key = LineKey{.kind = LineKind::kCredit, .source = "grant", .description = "g-1"};
  grant.amount = money("-0.01");
  return export_of(
      invoice(),
      {usage(20'758, 123'456'789), usage(20'759, 7), usage(20'757, 1'000'003, LineKind::kCorrection), refund, grant},
      {{at("2026-11-05T01:02:03.5Z"), money("100"), "wire"}});
}

TEST(Focus, ASoundExportHasNothingToComplainAbout) { EXPECT_THAT(test::FocusValidator().check(sample()), IsEmpty()); }

TEST(Focus, BilledCostSumsToTheInvoiceToThePico) {
  const auto billed = test::FocusValidator::billed(sample());
  Money exact = Rate::from_micro_per_million(3'625).amount(123'456'789 + 7 + 1'000'003) + money("-0.010000000001");
  LinePart one;
  one.quantity = 1;
  one.amount = exact;
  EXPECT_EQ(billed.at("TG-2026-000001"), total_up(gather_lines({one}), TaxRate{3, 50}, "CNY")->total);
  EXPECT_EQ(billed.at(""), Money()) << "what is paid in is charged when it is spent, not before";
}

TEST(Focus, RowsAreLocalDaysAndCorrectionsSaySo) {
  const auto csv = sample();
  EXPECT_THAT(csv, HasSubstr("2026-10-31T16:00:00Z")) << "1 November in Shanghai";
  const auto records = test::parse_csv(csv);
  int corrections = 0, taxes = 0, purchases = 0;
  for (const auto& record : records) {
    corrections += static_cast<int>(std::count(record.begin(), record.end(), "Correction"));
    taxes += static_cast<int>(std::count(record.begin(), record.end(), "Tax"));
    purchases += static_cast<int>(std::count(record.begin(), record.end(), "Purchase"));
  }
  EXPECT_EQ(corrections, 1);
  EXPECT_EQ(taxes, 1);
  EXPECT_EQ(purchases, 1);
  EXPECT_EQ(records.size(), 1U + 3 + 2 + 2 + 1) << "header, usage, refund and grant, rounding and tax, payment";
}

TEST(Focus, FieldsWithCommasQuotesAndChineseComeBack) {
  const auto records = test::parse_csv(sample());
  EXPECT_THAT(records[1], Contains("Tidegate, \"Ltd\""));
  EXPECT_THAT(records[1], Contains("key, one"));
  EXPECT_THAT(records[1], Contains("深圳市潮门科技有限公司"));
}

TEST(Focus, TheValidatorSeesWhatIsWrong) {
  const auto broken = [](const std::string& from, const std::string& to) {
    std::string csv = sample();
    const auto found = csv.find(from);
    EXPECT_NE(found, csv.npos) << from;
    if (found != csv.npos) csv.replace(found, from.size(), to);
    return test::FocusValidator().check(csv);
  };
  EXPECT_THAT(broken("BilledCost", "Billed"), ::testing::Not(IsEmpty()));
  EXPECT_THAT(broken(",Correction,", ",Late,"), ::testing::Not(IsEmpty()));
  EXPECT_THAT(broken(",Correction,", ",,"), ::testing::Not(IsEmpty()));
  EXPECT_THAT(broken(",Tax,", ",Fee,"), ::testing::Not(IsEmpty()));
  EXPECT_THAT(broken("123456789", "123456788"), ::testing::Not(IsEmpty()));
  EXPECT_THAT(broken(",0.003625,", ",0.003626,"), ::testing::Not(IsEmpty()));
  EXPECT_THAT(broken("2026-10-31T16:00:00Z", "2026-11-01"), ::testing::Not(IsEmpty()));
}

TEST(Focus, EveryColumnIsNamedOnceAndOursAreMarked) {
  std::vector<std::string> names;
  for (const auto& column : focus_columns()) names.emplace_back(column.name);
  auto sorted = names;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
  EXPECT_THAT(names, Contains("x_PaidAmount"));
}

TEST(Csv, QuotesWhatMustBe) {
  std::string out;
  append_csv(out, {"a", "b,c", "d\"e", "f\ng", ""});
  EXPECT_EQ(out, "a,\"b,c\",\"d\"\"e\",\"f\ng\",\r\n");
}

}  // namespace
}  // namespace tidegate::billing::focus_test
