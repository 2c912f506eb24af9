#include "scheduler/control/fleet_control.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/net/io_threads.h"
#include "tests/support/log_capture.h"
#include "tests/support/sim_clock.h"
#include "tests/unit/scheduler/core/test_catalogue.h"

namespace tidegate::scheduler {
namespace {

/// A driver that needs a while before it knows what runs.
class LateDriver final : public RuntimeDriver {
 public:
  Status start(const ReplicaSpec& spec, Term) override {
    started.push_back(spec.replica);
    return {};
  }
  Status stop(const std::string& replica, Term) override {
    stopped.push_back(replica);
    return {};
  }
  std::vector<ReplicaProcess> observe(Mono) override {
    ++looks;
    return {};
  }
  bool knows_what_runs() const override { return knows; }
  void begin_term(Term term) override { terms.push_back(term); }
  void end_term() override { ++ends; }

  bool knows = false;
  int looks = 0;
  int ends = 0;
  std::vector<std::string> started;
  std::vector<std::string> stopped;
  std::vector<Term> terms;
};

/// Everything on the control's executor, which alone touches the driver.
class FleetControlTest : public ::testing::Test {
 protected:
  ~FleetControlTest() override { control_.stop(); }
  template <typename Fn>
  auto on_control(Fn fn) {
    return io_.run_on(0, std::move(fn));
  }
  Deployment deployment() {
    Deployment out = tang_deployment(1);
    out.created_at = clock_.wall();
    return out;
  }

  Catalogue catalogue_ = test_catalogue();
  test::SimClock clock_;
  test::LogCapture log_;
  MemoryRegistry registry_;
  SchedulerMetrics metrics_{registry_};
  LateDriver driver_;
  IoThreads io_{1, "control"};
  FleetControl control_{catalogue_, {}, 7, driver_, clock_, log_, metrics_, io_.executor(0)};
};

TEST_F(FleetControlTest, NothingIsStartedBeforeTheDriverKnowsWhatRuns) {
  on_control([&] { control_.begin_term(3, {deployment()}); });
  on_control([&] { control_.set_deployment(deployment()); });
  on_control([&] {
    EXPECT_EQ(driver_.looks, 0);
    EXPECT_TRUE(driver_.started.empty());
    driver_.knows = true;
    control_.set_deployment(deployment());
    EXPECT_EQ(driver_.looks, 1);
    EXPECT_EQ(driver_.started, std::vector<std::string>{"tang-0"});
  });
}

TEST_F(FleetControlTest, DriverHearsOfTheTermBeforeAnyOrder) {
  driver_.knows = true;
  on_control([&] { control_.begin_term(3, {deployment()}); });
  on_control([&] {
    EXPECT_EQ(driver_.terms, std::vector<Term>{3});
    EXPECT_EQ(driver_.started.size(), 1u);
    EXPECT_EQ(driver_.ends, 0);
    control_.end_term();
    EXPECT_EQ(driver_.ends, 1) << "or it would go on with what it was told";
  });
}

TEST_F(FleetControlTest, NothingIsDoneUnderATermWhoseLeaseIsOver) {
  driver_.knows = true;
  bool is_lease_good = true;
  int shown = 0;
  int closed = 0;
  on_control([&] {
    control_.act_while([&] { return is_lease_good; });
    control_.begin_term(3, {});
    clock_.advance(std::chrono::seconds(4));  // the routes are shown by now
    control_.set_deployment(deployment());
    ASSERT_EQ(driver_.started.size(), 1u);
  });
  on_control([&] {
    is_lease_good = false;  // as after a freeze, before anybody has said so
    const int looks = driver_.looks;
    Deployment more = deployment();
    more.replicas = 3;
    control_.set_deployment(more);
    EXPECT_EQ(driver_.started.size(), 1u);
    EXPECT_TRUE(driver_.stopped.empty());
    EXPECT_EQ(driver_.looks, looks) << "a look kills what is overdue";
    EXPECT_EQ(control_.fleet(), nullptr);
    EXPECT_EQ(registry_.value("tidegate_scheduler_is_leader"), 0);

    FleetControl::LinkHandle handle;
    handle.welcome = [](Term) { ADD_FAILURE() << "welcome under a term that is over"; };
    handle.drain = [](Term) { ADD_FAILURE() << "drained under a term that is over"; };
    handle.close = [&](const Error& why) {
      EXPECT_EQ(why.reason, "not_leader");
      ++closed;
    };
    WorkerReport report;
    report.worker_id = "w";
    control_.on_report(control_.open_link(std::move(handle)), std::move(report));
    EXPECT_EQ(closed, 1);

    FleetControl::RoutesWatcher watcher;
    watcher.show = [&](const RouteSnapshot&) { return ++shown > 0; };
    watcher.is_there = [] { return true; };
    watcher.close = [](const Error&) {};
    control_.add_watcher(std::move(watcher));
    EXPECT_EQ(shown, 0) << "routes of a term that is over";
    const Status told = control_.on_demand({});
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().reason, "not_leader");
  });
  on_control([&] {
    is_lease_good = true;  // it was renewed after all
    clock_.advance(std::chrono::seconds(6));  // routes are shown again every five
    Deployment more = deployment();
    more.replicas = 3;
    control_.set_deployment(more);
    EXPECT_GT(driver_.started.size(), 1u);
    EXPECT_GE(shown, 1);
    EXPECT_TRUE(control_.on_demand({}).has_value());
  });
}

TEST_F(FleetControlTest, DemandIsRefusedWithoutATerm) {
  on_control([&] {
    const Status told = control_.on_demand({});
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code, Code::kUnavailable);
    EXPECT_EQ(told.error().reason, "not_leader");
    EXPECT_EQ(registry_.value("tidegate_scheduler_demand_reports_total"), 0);
  });
}

TEST_F(FleetControlTest, WatchersAreSentAwayWhenTheTermEnds) {
  driver_.knows = true;
  std::vector<std::string> said;
  on_control([&] {
    control_.begin_term(3, {});
    FleetControl::RoutesWatcher watcher;
    watcher.show = [&](const RouteSnapshot& routes) {
      said.push_back("term " + std::to_string(routes.term));
      return true;
    };
    watcher.is_there = [] { return true; };
    watcher.close = [&](const Error& why) { said.push_back(why.reason); };
    control_.add_watcher(std::move(watcher));
    control_.end_term();
    EXPECT_EQ(said, (std::vector<std::string>{"term 3", "not_leader"}));
    EXPECT_EQ(registry_.value("tidegate_scheduler_watchers_count"), 0);
  });
}

TEST_F(FleetControlTest, WatchersThatWentAreForgottenAlsoWhileItStandsBy) {
  bool is_there = true;
  on_control([&] {
    for (int i = 0; i < 3; ++i) {
      FleetControl::RoutesWatcher watcher;
      watcher.show = [](const RouteSnapshot&) { return true; };
      watcher.is_there = [&, i] { return is_there || i == 0; };
      watcher.close = [](const Error&) {};
      control_.add_watcher(std::move(watcher));
    }
    control_.set_deployment(deployment());  // ticks; there is no term
    EXPECT_EQ(registry_.value("tidegate_scheduler_watchers_count"), 3);
    is_there = false;
    control_.set_deployment(deployment());
    EXPECT_EQ(registry_.value("tidegate_scheduler_watchers_count"), 1);
  });
}

}  // namespace
}  // namespace tidegate::scheduler
