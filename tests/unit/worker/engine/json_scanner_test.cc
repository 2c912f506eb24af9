#include "worker/engine/json_scanner.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/core/random.h"
#include "base/json/json.h"

namespace tidegate::worker {
namespace {

using Step = JsonScanner::Step;

/// How the scan of `text` ends, and after how many bytes.
std::pair<Step, std::size_t> scan(const std::string& text) {
  JsonScanner scanner;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const Step step = scanner.feed(text[i]);
    if (step != Step::kMore) return {step, i + 1};
  }
  return {Step::kMore, text.size()};
}

TEST(JsonScanner, FindsTheLastByteOfAValue) {
  for (const char* value : {"{}", "[]", R"({"a":[1,-2.5e+3,{"b":null}],"c":"\u00e9\"}"})", R"("x\\")", "true", "[false,0]", " {} "}) {
    const std::string text = value;
    const auto [step, at] = scan(text + " tail");
    EXPECT_EQ(step, Step::kDone) << text;
    EXPECT_EQ(text.substr(0, at), text.substr(0, text.find_last_not_of(' ') + 1));
  }
  EXPECT_EQ(scan("12 "), std::pair(Step::kDoneBefore, std::size_t{3}));
}

TEST(JsonScanner, RefusesTheFirstByteThatCannotStand) {
  for (const char* text : {"}", "{,", "{\"a\"}", "{\"a\":}", "[1,]", "{\"a\":1,}", "[1 2", "01", "-a", "1.x", "1e+x", "nul1",
                           "\"\\x", "\"\\u12g", "\"\n", "[}", "{]", "{a"}) {
    EXPECT_EQ(scan(text).first, Step::kBad) << text;
    EXPECT_EQ(scan(text).second, std::string(text).size()) << text;
  }
}

TEST(JsonScanner, DepthIsBounded) {
  EXPECT_EQ(scan(std::string(JsonScanner::kDepthMax, '[')).first, Step::kMore);
  EXPECT_EQ(scan(std::string(JsonScanner::kDepthMax + 1, '[')).first, Step::kBad);
}

TEST(JsonScanner, AgreesWithTheParserOnMutatedDocuments) {
  const std::string good = R"({"a":[1,-2.5e+3,true,null],"b":{"c":"x\n\u0041"},"d":""})";
  const std::string bytes = "{}[]\",:0123456789-+.eEtrufalsn\\ x";
  Rng rng(7);
  int valid = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    for (std::uint64_t n = rng.below(3); n > 0; --n) text[rng.below(text.size())] = bytes[rng.below(bytes.size())];
    const auto [step, at] = scan(text);
    const bool is_whole = step == Step::kDone && text.find_first_not_of(' ', at) == std::string::npos;
    EXPECT_EQ(is_whole, json::parse(text).has_value()) << text;
    valid += is_whole ? 1 : 0;
  }
  EXPECT_GT(valid, 100) << "or nothing was compared";
}

}  // namespace
}  // namespace tidegate::worker
