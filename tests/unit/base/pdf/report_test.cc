#include "base/pdf/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "tests/support/pdf_text.h"

namespace tidegate::pdf {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Report sample(int rows) {
  Report report;
  report.title = "Invoice";
  report.issuer = "Tidegate GmbH";
  report.subject = "Invoice TG-2026-000001";
  report.facts = {{"Number", "TG-2026-000001"}, {"Date", "2026-12-01"}};
  report.parties = {{"From", {"Tidegate GmbH", "Straße 1"}}, {"To", {"深圳市潮门科技有限公司", "广东省深圳市南山区"}}};
  Table table{"Charges", {{"Model", 3}, {"Tokens", 2, Align::kRight}, {"Amount", 2, Align::kRight}}, {}};
  for (int i = 1; i <= rows; ++i)
    table.rows.push_back({RowStyle::kNormal, {fmt::format("model-{:04}", i), "1,000", "0.25"}});
  report.tables.push_back(table);
  report.totals = {{"Subtotal", "1.00"}, {"Total USD", "1.06"}};
  report.notes = {"Thank you."};
  report.footer = "Tidegate GmbH · TG-2026-000001";
  report.created = parse_rfc3339("2026-12-01T00:00:00Z").value();
  return report;
}

TEST(PdfReport, TextOfEveryScriptCanBeReadBack) {
  const auto rendered = render(sample(3)).value();
  const auto text = test::pdf_text(rendered.bytes);
  for (const char* words : {"Invoice", "Straße 1", "深圳市潮门科技有限公司", "广东省深圳市南山区", "model-0003",
                            "Total USD", "1.06", "Thank you.", "Page 1 of 1"}) {
    EXPECT_THAT(text, HasSubstr(words));
  }
  EXPECT_EQ(rendered.pages, 1);
}

TEST(PdfReport, EveryFontIsEmbeddedWithAMapBackToText) {
  std::istringstream fonts(test::pdf_fonts(render(sample(3))->bytes));
  std::string line;
  std::getline(fonts, line);
  std::getline(fonts, line);
  int count = 0;
  while (std::getline(fonts, line)) {
    // name, type, encoding, emb, sub, uni, object ID: the three flags end before the two numbers of the object.
    EXPECT_THAT(line, ::testing::ContainsRegex("yes +yes +yes +[0-9]+ +[0-9]+$"));
    ++count;
  }
  EXPECT_GE(count, 2);
}

TEST(PdfReport, IsAWholePdfFile) {
  const auto rendered = render(sample(60)).value();
  EXPECT_TRUE(rendered.bytes.starts_with("%PDF-1."));
  EXPECT_THAT(rendered.bytes.substr(rendered.bytes.size() - 8), HasSubstr("%%EOF"));
}

TEST(PdfReport, ATableGoesOnOverPagesUnderItsHeaderAndNoRowIsLost) {
  const auto rendered = render(sample(200)).value();
  EXPECT_GT(rendered.pages, 2);
  const auto text = test::pdf_text(rendered.bytes);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\f'), rendered.pages);
  for (int i = 1; i <= 200; ++i) EXPECT_THAT(text, HasSubstr(fmt::format("model-{:04}", i)));
  std::istringstream pages(text);
  std::string page;
  for (int n = 1; n <= rendered.pages; ++n) {
    std::getline(pages, page, '\f');
    EXPECT_THAT(page, HasSubstr(fmt::format("Page {} of {}", n, rendered.pages)));
    EXPECT_EQ(page.find("model-") != page.npos, page.find("Tokens") != page.npos) << "page " << n;
  }
}

TEST(PdfReport, TheSameReportIsTheSameFile) { EXPECT_EQ(render(sample(50))->bytes, render(sample(50))->bytes); }

TEST(PdfReport, AMarkStandsOnEveryPage) {
  auto report = sample(100);
  EXPECT_THAT(test::pdf_text(render(report)->bytes), Not(HasSubstr("VOID")));
  report.mark = "VOID";
  EXPECT_EQ(render(report)->pages, render(sample(100))->pages);
  EXPECT_NE(render(report)->bytes, render(sample(100))->bytes);
}

TEST(PdfReport, RefusesWhatItCannotPrint) {
  auto report = sample(1);
  report.facts[0].second = "\xff";
  EXPECT_EQ(render(report).error().reason, "bad_report");
  report = sample(1);
  report.parties.resize(4);
  EXPECT_EQ(render(report).error().field, "parties");
  report = sample(1);
  report.tables[0].columns.clear();
  EXPECT_EQ(render(report).error().field, "tables");
  EXPECT_EQ(render(sample(20'001)).error().reason, "report_too_large");
  report = sample(1);
  report.tables[0].rows[0].cells[0] = std::string(2'001, 'x');
  EXPECT_EQ(render(report).error().reason, "report_too_large");
}

}  // namespace
}  // namespace tidegate::pdf
