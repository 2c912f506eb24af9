#include "gateway/core/promise_book.h"

#include <gtest/gtest.h>

#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Mono kNow = Mono(seconds(1'000));
Uuid tenant(std::uint64_t n) { return tidegate::test::SequentialIds::make(n); }

TEST(PromiseBook, APromiseIsKeptOnceWhenItIsDue) {
  PromiseBook book;
  book.add(tenant(1), kNow + seconds(4), kNow);
  EXPECT_FALSE(book.take(tenant(1), kNow + milliseconds(3'999))) << "who does not wait comes as a newcomer";
  EXPECT_FALSE(book.take(tenant(2), kNow + seconds(4))) << "it was told to another";
  EXPECT_TRUE(book.take(tenant(1), kNow + seconds(4)));
  EXPECT_FALSE(book.take(tenant(1), kNow + seconds(4)));
  EXPECT_EQ(book.size(), 0U);
}

TEST(PromiseBook, WhoComesTooLateIsANewcomer) {
  PromiseBook book;
  book.add(tenant(1), kNow, kNow);
  book.add(tenant(1), kNow + seconds(5), kNow);
  EXPECT_TRUE(book.take(tenant(1), kNow + PromiseBook::kKept + seconds(1))) << "the second one";
  EXPECT_EQ(book.size(), 0U);
}

TEST(PromiseBook, OneTenantTakesNoOthersPlaceAndMemoryIsBounded) {
  PromiseBook book;
  for (std::size_t i = 0; i < 2 * PromiseBook::kOfTenantMax; ++i) book.add(tenant(1), kNow, kNow);
  EXPECT_EQ(book.size(), PromiseBook::kOfTenantMax);
  for (std::uint64_t n = 2; n < 2 + PromiseBook::kPromisesMax; ++n) book.add(tenant(n), kNow, kNow);
  EXPECT_EQ(book.size(), PromiseBook::kPromisesMax);
  const Mono later = kNow + PromiseBook::kKept + seconds(1);
  book.add(tenant(7), later, later);
  EXPECT_EQ(book.size(), 1U) << "what lapsed makes room";
  EXPECT_TRUE(book.take(tenant(7), later));
}

// Looking through the whole book for each of these would take until the test's time is up.
TEST(PromiseBook, AFullBookRefusesWithoutLookingThroughIt) {
  PromiseBook book;
  for (std::uint64_t n = 0; n < PromiseBook::kPromisesMax; ++n) book.add(tenant(n), kNow + milliseconds(n), kNow);
  for (std::uint64_t n = 0; n < 1'000'000; ++n) book.add(tenant(n), kNow, kNow);
  EXPECT_EQ(book.size(), PromiseBook::kPromisesMax);
  EXPECT_FALSE(book.take(tenant(PromiseBook::kPromisesMax), kNow)) << "what did not fit is not remembered";
  EXPECT_TRUE(book.take(tenant(0), kNow));
  book.add(tenant(5'000), kNow, kNow);
  EXPECT_EQ(book.size(), PromiseBook::kPromisesMax) << "a kept one makes room for one";
  EXPECT_TRUE(book.take(tenant(5'000), kNow)) << "its earlier one, although it was promised later";
  EXPECT_FALSE(book.take(tenant(5'000), kNow));
  EXPECT_TRUE(book.take(tenant(5'000), kNow + milliseconds(5'000)));
}

}  // namespace
}  // namespace tidegate::gateway
