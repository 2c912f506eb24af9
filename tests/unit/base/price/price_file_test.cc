#include "base/price/price_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/price/price_book.h"
#include "tests/unit/base/price/price_lists.h"

namespace tidegate::price::price_file_test {
namespace {

constexpr std::string_view kFile = R"({
  "calendars": {"CN": ["2026-10-01"]},
  "price_books": [{
    "id": "b", "models": ["m", "n"], "pool": "cpu",
    "effective_from": "2026-01-01T00:00:00Z", "effective_to": null, "basis": "admitted_at",
    "schedules": [
      {"name": "offpeak", "default": true,
       "rates": {"USD": {"input_cache_hit": "0", "input_cache_miss": "0.1", "output": "0.2"},
                 "CNY": {"input_cache_hit": "0", "input_cache_miss": "1", "output": "2"}}},
      {"name": "peak", "tz": "Asia/Shanghai", "days": [1], "windows": ["09:00-12:00"], "exclude_calendar": "CN",
       "rates": {"USD": {"input_cache_hit": "0", "input_cache_miss": "0.3", "output": "0.4"},
                 "CNY": {"input_cache_hit": "0", "input_cache_miss": "3", "output": "4"}}}]}]})";

std::string replaced(std::string_view from, std::string_view to) {
  std::string text(kFile);
  text.replace(text.find(from), from.size(), to);
  return text;
}

Error refusal(const std::string& text) {
  const auto file = parse_price_file(text);
  EXPECT_FALSE(file);
  return file ? Error() : file.error();
}

TEST(PriceFile, OneVersionPerModelAndCurrency) {
  const auto file = parse_price_file(kFile);
  ASSERT_TRUE(file) << file.error().to_string();
  ASSERT_EQ(file->versions.size(), 4u);
  const PriceVersion& first = file->versions.front();
  EXPECT_EQ(first.model, "m");
  EXPECT_EQ(first.currency, "CNY");
  EXPECT_EQ(first.pool, "cpu");
  EXPECT_EQ(first.basis, Basis::kAdmittedAt);
  EXPECT_EQ(first.schedules[1].rates.at("output").micro_per_million(), 4'000'000);
  EXPECT_EQ(first.schedules[1].windows.front(), (LocalWindow{9 * 3600, 12 * 3600}));
  EXPECT_TRUE(PriceBook::build(file->versions, file->calendars));
}

TEST(PriceFile, MisspeltMembersAreErrors) {
  EXPECT_EQ(refusal(replaced("\"exclude_calendar\"", "\"exclude_calender\"")).field,
            "price_books[0].schedules[1].exclude_calender");
  EXPECT_EQ(refusal(replaced("\"pool\"", "\"pol\"")).field, "price_books[0].pol");
}

TEST(PriceFile, PricesAreDecimalStrings) {
  EXPECT_EQ(refusal(replaced("\"0.1\"", "0.1")).field, "price_books[0].schedules[0].rates.USD.input_cache_miss");
  EXPECT_FALSE(parse_price_file(replaced("\"0.1\"", "\"-0.1\"")));
  EXPECT_FALSE(parse_price_file(replaced("\"0.1\"", "\"0.0000001\"")));
}

TEST(PriceFile, BadTimesAndDates) {
  for (const auto* window : {"9:00-12:00", "09:00", "09:00-24:01", "25:00-26:00", "09:60-10:00", "0a:00-10:00", "-"}) {
    EXPECT_FALSE(parse_price_file(replaced("09:00-12:00", window))) << window;
  }
  for (const auto* date : {"2026-02-30", "2026-1-1", "20261001", "2026-13-01", "x026-10-01"}) {
    EXPECT_FALSE(parse_price_file(replaced("2026-10-01", date))) << date;
  }
}

TEST(PriceFile, ACurrencyMissingFromOneBandIsRefusedWhenBuilt) {
  const auto file = parse_price_file(replaced(R"(,
                 "CNY": {"input_cache_hit": "0", "input_cache_miss": "3", "output": "4"})", ""));
  ASSERT_TRUE(file);
  EXPECT_EQ(PriceBook::build(file->versions, file->calendars).error().field, "schedules[peak].rates");
}

TEST(PriceFile, FormatsWhatItReads) {
  EXPECT_EQ(format_local_time(parse_local_time("23:59:30").value()), "23:59:30");
  EXPECT_EQ(format_local_time(86400), "24:00");
  EXPECT_EQ(format_date(parse_date("2026-10-01").value()), "2026-10-01");
}

constexpr const char* kContract = R"({
  "calendars": {"CN": {"holidays": ["2026-10-01"], "workdays": ["2026-10-10"]}},
  "price_books": [{"id": "deal", "models": ["m"], "tenant": "acme", "effective_from": "2026-01-01T00:00:00Z",
    "minimum_charge": {"USD": "0.0001"},
    "schedules": [{"name": "all", "default": true, "prompt_tiers": [
      {"up_to": 128000, "rates": {"USD": {"input_cache_hit": "0.05", "input_cache_miss": "0.25", "output": "2"}}},
      {"rates": {"USD": {"input_cache_hit": "0.05", "input_cache_miss": "0.5", "output": "4"}}}]}]}],
  "modifiers": [{"name": "launch", "factor": "3/4", "model": "m", "effective_from": "2026-01-01T00:00:00Z",
                 "effective_to": "2026-02-01T00:00:00Z"}]})";

std::string contract_with(std::string_view what, std::string_view by) {
  std::string text = kContract;
  const auto at = text.find(what);
  EXPECT_NE(at, text.npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(PriceFile, ReadsContractsTiersMinimumsModifiersAndWorkingDays) {
  const auto file = parse_price_file(kContract);
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->calendars[0].days.size(), 1U);
  EXPECT_EQ(file->calendars[0].workdays, std::vector{parse_date("2026-10-10").value()});
  const PriceVersion& version = file->versions.at(0);
  EXPECT_EQ(version.tenant, "acme");
  EXPECT_EQ(version.minimum_charge, Money::parse("0.0001").value());
  EXPECT_EQ(version.schedules[0].rates.at("output"), Rate::parse("2").value());
  ASSERT_EQ(version.schedules[0].long_prompts.size(), 1U);
  EXPECT_EQ(version.schedules[0].long_prompts[0].over, 128'000);
  EXPECT_EQ(version.schedules[0].long_prompts[0].rates.at("output"), Rate::parse("4").value());
  EXPECT_EQ(file->modifiers.at(0).factor, (Ratio{3, 4}));
  EXPECT_EQ(file->modifiers[0].model, "m");
  EXPECT_TRUE(PriceBook::build(file->versions, file->calendars, file->modifiers));
}

TEST(PriceFile, RefusesWhatWouldPriceSomethingElse) {
  EXPECT_EQ(refusal(contract_with("modifiers", "modifers")).field, "modifers");
  EXPECT_EQ(refusal(contract_with("workdays", "work_days")).field, "calendars.CN.work_days");
  EXPECT_EQ(refusal(contract_with("\"factor\": \"3/4\"", "\"factor\": \"3/0\"")).field,
            "modifiers[0].factor");
  EXPECT_EQ(refusal(contract_with("\"up_to\": 128000, ", "")).field,
            "price_books[0].schedules[0].prompt_tiers[0].up_to");
  EXPECT_EQ(refusal(contract_with(
                        "{\"rates\": {\"USD\": {\"input_cache_hit\": \"0.05\", \"input_cache_miss\": \"0.5\"",
                        "{\"up_to\": 256000, \"rates\": {\"USD\": {\"input_cache_hit\": \"0.05\", "
                        "\"input_cache_miss\": \"0.5\""))
                .field,
            "price_books[0].schedules[0].prompt_tiers[1].up_to");
  EXPECT_EQ(refusal(contract_with("\"USD\": \"0.0001\"", "\"CNY\": \"0.0001\"")).field,
            "price_books[0].minimum_charge.CNY");
  EXPECT_EQ(refusal(contract_with("\"0.0001\"", "0.0001")).field, "price_books[0].minimum_charge.USD");
}

class ShippedFile : public testing::TestWithParam<const char*> {};

TEST_P(ShippedFile, IsFitToPublish) {
  std::ifstream in(std::string(TG_SOURCE_DIR "/models/prices/") + GetParam());
  std::stringstream text;
  text << in.rdbuf();
  const auto file = parse_price_file(text.str());
  ASSERT_TRUE(file) << file.error().to_string();
  const auto book = PriceBook::build(file->versions, file->calendars);
  ASSERT_TRUE(book) << book.error().to_string();
}

INSTANTIATE_TEST_SUITE_P(PriceFile, ShippedFile, testing::Values("deepseek.json", "tang-moe.json", "sim-fast.json"));

}  // namespace
}  // namespace tidegate::price::price_file_test
