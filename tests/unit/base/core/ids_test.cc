#include "base/core/ids.h"

#include <gtest/gtest.h>

#include <unordered_set>

#include "tests/support/sequential_ids.h"
#include "tests/support/sim_clock.h"

namespace tidegate {
namespace {

TEST(Uuid, TextAndBytesReadBack) {
  const std::string text = "01956a3e-7c00-7123-8abc-0123456789ab";
  const Uuid uuid = *Uuid::parse(text);
  EXPECT_EQ(uuid.to_string(), text);
  EXPECT_EQ(*Uuid::parse("01956A3E-7C00-7123-8ABC-0123456789AB"), uuid);
  EXPECT_EQ(*Uuid::from_bytes(uuid.raw()), uuid);
  EXPECT_TRUE(Uuid().is_nil());
  EXPECT_FALSE(uuid.is_nil());
}

TEST(Uuid, RefusesOtherShapes) {
  for (const char* text : {"", "01956a3e7c0071238abc0123456789ab", "01956a3e-7c00-7123-8abc-0123456789a",
                           "01956a3e-7c00-7123-8abc-0123456789abc", "01956a3e-7c00-7123-8abc0-123456789ab",
                           "g1956a3e-7c00-7123-8abc-0123456789ab", "01956a3e-7c00-7123-8abc-0123456789-b"}) {
    EXPECT_EQ(Uuid::parse(text).error().reason, "bad_uuid") << text;
  }
  EXPECT_FALSE(Uuid::from_bytes("short"));
}

TEST(UuidV7Source, CarriesTheTimeAndTheVersion) {
  test::SimClock clock;
  test::SeededEntropy entropy;
  UuidV7Source source(clock, entropy);
  const Uuid first = source.next();
  EXPECT_EQ(first.unix_millis(), test::SimClock::kStartMicros / 1000);
  EXPECT_EQ(first.to_string()[14], '7');
  EXPECT_NE(std::string("89ab").find(first.to_string()[19]), std::string::npos);
}

TEST(UuidV7Source, LaterIdsSortLaterToTheMicrosecond) {
  test::SimClock clock;
  test::SeededEntropy entropy;
  UuidV7Source source(clock, entropy);
  Uuid last = source.next();
  for (int i = 0; i < 5000; ++i) {
    clock.advance(std::chrono::microseconds(1));
    const Uuid next = source.next();
    ASSERT_LT(last, next) << i;
    last = next;
  }
  EXPECT_EQ(last.unix_millis(), test::SimClock::kStartMicros / 1000 + 5);
}

TEST(UuidV7Source, IdsOfOneMillisecondDiffer) {
  test::SimClock clock;
  test::SeededEntropy entropy;
  UuidV7Source source(clock, entropy);
  std::unordered_set<Uuid> seen;
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(seen.insert(source.next()).second);
}

TEST(Id, KindsDoNotMixAndReadBack) {
  test::SequentialIds ids;
  const TenantId tenant{ids.next()};
  EXPECT_EQ(*TenantId::parse(tenant.to_string()), tenant);
  EXPECT_EQ(*TenantId::from_bytes(tenant.raw()), tenant);
  EXPECT_FALSE((std::is_convertible_v<TenantId, ProjectId>));
  EXPECT_EQ(tenant.to_string(), "01956a3e-7c00-7000-8000-000000000001");
}

}  // namespace
}  // namespace tidegate
