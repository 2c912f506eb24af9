#include "scheduler/core/pool_watch.h"

#include <gmock/gmock.h>

#include "tests/support/sim_clock.h"

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PoolWatchTest : public ::testing::Test {
 protected:
  bool is_lost() { return watch.is_lost("d", view, 60s, clock.mono()); }

  const PoolName a{"eu", "a"};
  const PoolName b{"eu", "b"};
  test::SimClock clock;
  PoolWatch watch;
  PoolWatch::View view{.pool = a, .is_wanted = true, .ready = 1, .has_worker = true};
};

TEST_F(PoolWatchTest, TheTimeCountsFromWhenItLastServed) {
  EXPECT_FALSE(is_lost());
  clock.advance(300s);
  EXPECT_FALSE(is_lost()) << "it serves";
  view.ready = 0;
  view.has_worker = false;
  clock.advance(59s);
  EXPECT_FALSE(is_lost());
  clock.advance(1s);
  EXPECT_TRUE(is_lost());
  view.ready = 1;
  EXPECT_FALSE(is_lost());
  view.ready = 0;
  EXPECT_FALSE(is_lost()) << "anew";
}

TEST_F(PoolWatchTest, AWorkerOnItsWayIsWaitedForAndResetsNothing) {
  view.ready = 0;
  EXPECT_FALSE(is_lost());
  clock.advance(300s);
  EXPECT_FALSE(is_lost()) << "it loads";
  view.has_worker = false;
  EXPECT_TRUE(is_lost()) << "it ended without having served";
}

TEST_F(PoolWatchTest, NothingWantedIsNothingLostAndAnotherPoolBeginsAnew) {
  view = {.pool = a, .is_wanted = false};
  EXPECT_FALSE(is_lost());
  clock.advance(300s);
  EXPECT_FALSE(is_lost());
  view.is_wanted = true;
  clock.advance(59s);
  EXPECT_FALSE(is_lost());
  view.pool = b;
  clock.advance(59s);
  EXPECT_FALSE(is_lost());
  clock.advance(60s);
  EXPECT_TRUE(is_lost());
}

TEST_F(PoolWatchTest, ALostPoolIsShunnedForAWhileByOthersOnlyWhereNobodyServes) {
  watch.shun("d", a, clock.mono());
  EXPECT_THAT(watch.shunned_by("d", {a}, clock.mono()), ElementsAre(a));
  EXPECT_THAT(watch.shunned_by("other", {a}, clock.mono()), IsEmpty());
  EXPECT_THAT(watch.shunned_by("other", {b}, clock.mono()), ElementsAre(a));
  watch.shun("other", b, clock.mono());
  EXPECT_THAT(watch.shunned_by("d", {}, clock.mono()), ElementsAre(a, b));
  watch.keep_only({"d"}, clock.mono());
  EXPECT_THAT(watch.shunned_by("d", {}, clock.mono()), ElementsAre(a));
  clock.advance(PoolWatch::kShunnedFor);
  EXPECT_THAT(watch.shunned_by("d", {}, clock.mono()), IsEmpty());
}

}  // namespace
}  // namespace tidegate::scheduler
