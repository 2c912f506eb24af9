#include "billing/adapters/issuer_keys.h"

#include <gtest/gtest.h>

#include <fstream>
#include <utility>

#include "tests/support/log_capture.h"
#include "tests/support/sim_clock.h"
#include "tests/support/temp_dir.h"
#include "tests/support/token_issuer.h"

namespace tidegate::billing {
namespace {

using test::TokenIssuer;

class FakeSource final : public KeySource {
 public:
  Result<std::string> load() override {
    ++loads;
    if (text.empty()) return fail(Code::kUnavailable, "keys_unreachable", "the provider is away");
    return text;
  }
  std::string stamp() const override { return mark; }
  std::string text, mark;
  int loads = 0;
};

struct IssuerKeysTest : testing::Test {
  IssuerKeysTest() {
    auto source = std::make_unique<FakeSource>();
    source_ = source.get();
    source_->text = TokenIssuer::set({TokenIssuer(JwtAlgorithm::kEdDsa, "old").jwk()});
    keys_.emplace(std::move(source), IssuerKeyOptions(), clock_, log_, registry_.counter("looks_total", "", {{"r", "read"}}),
                  registry_.counter("looks_total", "", {{"r", "failed"}}));
  }
  bool has(const std::string& id) {
    const auto set = keys_->for_key(id);
    return set && (*set)->find(id) != nullptr;
  }

  test::SimClock clock_;
  test::LogCapture log_;
  MemoryRegistry registry_;
  FakeSource* source_ = nullptr;
  std::optional<IssuerKeys> keys_;
};

TEST_F(IssuerKeysTest, AreLookedForOnceAndThenAfterAWhile) {
  EXPECT_TRUE(has("old"));
  EXPECT_TRUE(has("old"));
  EXPECT_EQ(source_->loads, 1);
  clock_.advance(std::chrono::minutes(10));
  EXPECT_TRUE(has("old"));
  EXPECT_EQ(source_->loads, 2);
}

TEST_F(IssuerKeysTest, ANewKeyIsFoundWhenATokenNamesIt) {
  EXPECT_TRUE(has("old"));
  source_->text = TokenIssuer::set({TokenIssuer(JwtAlgorithm::kEdDsa, "new").jwk()});
  clock_.advance(std::chrono::seconds(30));
  EXPECT_TRUE(has("new"));
  EXPECT_FALSE(has("old")) << "what the provider withdrew signs no more";
}

TEST_F(IssuerKeysTest, InventedKeyNamesDoNotMakeUsAskMoreOften) {
  EXPECT_TRUE(has("old"));
  for (int i = 0; i < 1'000; ++i) EXPECT_FALSE(has("invented-" + std::to_string(i)));
  EXPECT_EQ(source_->loads, 1);
  clock_.advance(std::chrono::seconds(30));
  for (int i = 0; i < 1'000; ++i) EXPECT_FALSE(has("invented-" + std::to_string(i)));
  EXPECT_EQ(source_->loads, 2);
}

TEST_F(IssuerKeysTest, ASourceThatSaysItChangedIsReadAtOnce) {
  EXPECT_TRUE(has("old"));
  source_->text = TokenIssuer::set({TokenIssuer(JwtAlgorithm::kEdDsa, "new").jwk()});
  source_->mark = "2";
  EXPECT_TRUE(has("new"));
  EXPECT_FALSE(has("old"));
  EXPECT_EQ(source_->loads, 2);
}

TEST_F(IssuerKeysTest, KeysOutliveTheirProviderForADay) {
  EXPECT_TRUE(has("old"));
  source_->text.clear();
  clock_.advance(std::chrono::hours(23));
  EXPECT_TRUE(has("old"));
  EXPECT_EQ(registry_.value("looks_total", {{"r", "failed"}}), 1);
  EXPECT_TRUE(log_.has("issuer_keys_not_read"));
  clock_.advance(std::chrono::hours(1));
  const auto none = keys_->for_key("old");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kUnavailable);
  source_->text = TokenIssuer::set({TokenIssuer(JwtAlgorithm::kEdDsa, "old").jwk()});
  clock_.advance(std::chrono::seconds(30));
  EXPECT_TRUE(has("old")) << "and come back with it";
}

TEST_F(IssuerKeysTest, AnAnswerThatIsNoSetChangesNothing) {
  EXPECT_TRUE(has("old"));
  source_->text = "<html>sorry</html>";
  clock_.advance(std::chrono::minutes(10));
  EXPECT_TRUE(has("old"));
  EXPECT_EQ(source_->loads, 2);
  EXPECT_TRUE(log_.mentions("bad_jwks"));
}

TEST_F(IssuerKeysTest, WithoutAnyKeyNobodyIsLetIn) {
  source_->text.clear();
  EXPECT_EQ(keys_->for_key("old").error().reason, "keys_unreachable");
  EXPECT_EQ(keys_->for_key("old").error().reason, "keys_unreachable");
  EXPECT_EQ(source_->loads, 1) << "the floor holds here too";
}

TEST(KeyFile, IsReadAgainWhenItChanges) {
  const test::TempDir folder;
  const std::string path = folder.file("keys.json");
  const auto write = [&](const std::string& text) { std::ofstream(path, std::ios::trunc) << text; };
  const auto source = make_key_file(path);
  EXPECT_EQ(source->load().error().reason, "keys_unreachable");
  const std::string absent = source->stamp();
  write("one");
  EXPECT_EQ(source->load().value(), "one");
  const std::string first = source->stamp();
  EXPECT_NE(first, absent);
  EXPECT_EQ(source->stamp(), first);
  write("other");
  EXPECT_NE(source->stamp(), first);
}

}  // namespace
}  // namespace tidegate::billing
