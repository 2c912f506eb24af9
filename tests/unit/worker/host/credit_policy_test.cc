#include "worker/host/credit_policy.h"

#include <gmock/gmock.h>

#include "base/core/random.h"

namespace tidegate::worker {
namespace {

std::vector<CreditSeat*> pointers(std::vector<CreditSeat>& seats) {
  std::vector<CreditSeat*> out;
  for (CreditSeat& seat : seats) out.push_back(&seat);
  return out;
}

TEST(CreditPolicy, AloneSessionMayStartEverythingThatIsFree) {
  std::vector<CreditSeat> seats(1);
  auto all = pointers(seats);
  grant_credits(all, {.capacity = 16, .overcommit = 2, .live = 0});
  EXPECT_EQ(seats[0].outstanding(), 18u);
}

TEST(CreditPolicy, FullEngineGrantsNothing) {
  std::vector<CreditSeat> seats(2);
  auto all = pointers(seats);
  grant_credits(all, {.capacity = 16, .overcommit = 2, .live = 18});
  EXPECT_EQ(seats[0].granted_total, 0u);
  EXPECT_EQ(seats[1].granted_total, 0u);
}

TEST(CreditPolicy, BusySessionIsNotHeldBackByAnIdleOne) {
  std::vector<CreditSeat> seats(2);
  auto all = pointers(seats);
  std::int32_t live = 0;
  for (int i = 0; i < 16; ++i) {
    grant_credits(all, {.capacity = 16, .overcommit = 0, .live = live});
    ASSERT_GT(seats[0].outstanding(), 0u) << "the engine has room after " << i;
    ++seats[0].started_total;
    ++live;
  }
}

TEST(CreditPolicy, LateSessionMayStartAtOnce) {
  std::vector<CreditSeat> seats(1);
  auto all = pointers(seats);
  grant_credits(all, {.capacity = 4, .overcommit = 0, .live = 0});
  seats.emplace_back();
  all = pointers(seats);
  grant_credits(all, {.capacity = 4, .overcommit = 0, .live = 0});
  EXPECT_EQ(seats[0].outstanding(), 4u) << "what was granted stays granted";
  EXPECT_EQ(seats[1].outstanding(), 2u);
}

TEST(CreditPolicy, SessionThatDoesNotReadGetsNothingNew) {
  std::vector<CreditSeat> seats(2);
  seats[0].withheld = true;
  auto all = pointers(seats);
  grant_credits(all, {.capacity = 4, .overcommit = 0, .live = 0});
  EXPECT_EQ(seats[0].outstanding(), 0u);
  EXPECT_EQ(seats[1].outstanding(), 2u);
}

// The promise of the header, over random histories.
TEST(CreditPolicy, OutstandingStaysBoundedAndTotalsNeverDecrease) {
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    const auto count = 1 + rng.below(40);
    const auto capacity = static_cast<std::int32_t>(1 + rng.below(32));
    const auto overcommit = static_cast<std::int32_t>(rng.below(4));
    std::vector<CreditSeat> seats(count);
    auto all = pointers(seats);
    std::int32_t live = 0;
    for (int i = 0; i < 200; ++i) {
      std::vector<std::uint64_t> before;
      for (const auto& seat : seats) before.push_back(seat.granted_total);
      grant_credits(all, {.capacity = capacity, .overcommit = overcommit, .live = live});
      std::uint64_t outstanding = 0;
      for (std::size_t s = 0; s < seats.size(); ++s) {
        ASSERT_GE(seats[s].granted_total, before[s]);
        outstanding += seats[s].outstanding();
      }
      ASSERT_LE(outstanding, std::max<std::uint64_t>(static_cast<std::uint64_t>(capacity + overcommit), count));
      CreditSeat& seat = seats[rng.below(count)];
      if (seat.outstanding() > 0 && rng.below(2) == 0) {
        ++seat.started_total;
        ++live;
      } else if (live > 0) {
        --live;
      }
    }
  }
}

}  // namespace
}  // namespace tidegate::worker
