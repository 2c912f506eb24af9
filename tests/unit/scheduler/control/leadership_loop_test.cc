#include "scheduler/control/leadership_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/net/io_threads.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/sim_clock.h"
#include "tests/unit/scheduler/core/test_catalogue.h"

namespace tidegate::scheduler::leadership_loop_test {
namespace {

using namespace std::chrono_literals;
using test::eventually;

/// A lease that nobody else wants. Each taking of it begins a new term, as in the database.
class FakeLease final : public Lease {
 public:
  explicit FakeLease(const Clock& clock) : clock_(clock) {}

  Result<std::optional<Held>> acquire(Deadline) override {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(is_ours_, true)) ++term_;
    return Held{term_, clock_.mono() + 1h};
  }
  Status release(Deadline) override {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_ours_, false)) ++releases_;
    return {};
  }
  void lapse() override {}

  bool is_ours() const {
    const std::lock_guard lock(mutex_);
    return is_ours_;
  }
  int releases() const {
    const std::lock_guard lock(mutex_);
    return releases_;
  }
  Term term() const {
    const std::lock_guard lock(mutex_);
    return term_;
  }

 private:
  const Clock& clock_;
  mutable std::mutex mutex_;
  Term term_ = 0;
  bool is_ours_ = false;
  int releases_ = 0;
};

/// One deployment, or none that can be read.
class FakeStore final : public DeploymentStore {
 public:
  Result<std::vector<Deployment>> load(Deadline) override {
    ++loads;
    if (is_readable) return std::vector<Deployment>{tang_deployment(1)};
    return fail(Code::kInvalidArgument, "bad_rollout", "deployment 'tang' is stored in another way");
  }
  Result<Deployment> put(const Deployment& deployment, Term) override { return deployment; }
  Status remove(const std::string&, Term) override { return {}; }

  std::atomic<bool> is_readable = true;
  std::atomic<int> loads = 0;
};

class LeadershipLoopTest : public ::testing::Test {
 protected:
  LeadershipLoop::Handlers handlers() {
    LeadershipLoop::Handlers out;
    out.on_begin = [this](Term term, const std::vector<Deployment>& all) {
      EXPECT_EQ(all.size(), 1u);
      begun_ = term;
    };
    out.on_end = [this] { ++ends_; };
    return out;
  }

  test::SimClock clock_;
  test::LogCapture log_;
  FakeLease lease_{clock_};
  FakeStore store_;
  std::atomic<Term> begun_ = 0;
  std::atomic<int> ends_ = 0;
  IoThreads io_{1, "control"};
  LeadershipLoop loop_{lease_, store_, clock_, log_, io_.executor(0), {.ttl = 30ms}, handlers()};
};

TEST_F(LeadershipLoopTest, WhoHasTheLeaseAndReadsWhatIsWantedLeadsUntilItStops) {
  loop_.start();
  ASSERT_TRUE(eventually([&] { return begun_.load() == 1; }));
  EXPECT_TRUE(loop_.is_lease_good());
  loop_.stop();
  EXPECT_EQ(ends_.load(), 1);
  EXPECT_EQ(lease_.releases(), 1);
  EXPECT_EQ(store_.loads.load(), 1);
}

TEST_F(LeadershipLoopTest, WhoCannotReadWhatIsWantedGivesTheLeaseBackAndSaysWhy) {
  store_.is_readable = false;
  loop_.start();
  ASSERT_TRUE(eventually([&] { return lease_.releases() >= 2; })) << "each time that it got it";
  EXPECT_EQ(begun_.load(), 0u);
  EXPECT_EQ(ends_.load(), 0) << "nothing had begun";
  EXPECT_FALSE(loop_.is_lease_good());
  EXPECT_TRUE(log_.has("leadership_given_up"));
  EXPECT_TRUE(log_.mentions("deployment 'tang' is stored in another way"));
  loop_.stop();
  EXPECT_FALSE(lease_.is_ours());
}

TEST_F(LeadershipLoopTest, ItLeadsUnderANewTermWhenItCanReadAgain) {
  store_.is_readable = false;
  loop_.start();
  ASSERT_TRUE(eventually([&] { return lease_.releases() >= 1; }));
  const Term given_up = lease_.term();
  store_.is_readable = true;
  ASSERT_TRUE(eventually([&] { return begun_.load() > 0; }));
  EXPECT_GE(begun_.load(), given_up);
  EXPECT_EQ(begun_.load(), lease_.term());
  EXPECT_TRUE(loop_.is_lease_good());
  loop_.stop();
}

TEST_F(LeadershipLoopTest, ATransactionThatStandsStillIsOverBeforeTheLeaseIs) {
  for (const Duration ttl : {Duration(1s), Duration(5s), Duration(600s)}) {
    EXPECT_LT(LeadershipLoop::transaction_limit(ttl), ttl);
    EXPECT_GT(LeadershipLoop::transaction_limit(ttl), 0ms) << "0: no limit at all";
  }
}

}  // namespace
}  // namespace tidegate::scheduler::leadership_loop_test
