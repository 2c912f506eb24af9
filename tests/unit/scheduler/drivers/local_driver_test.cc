#include "scheduler/drivers/local/local_driver.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>
#include <vector>

#include "scheduler/drivers/local/child_process.h"
#include "tests/support/log_capture.h"
#include "tests/support/sim_clock.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/scheduler/drivers/runtime_driver_contract.h"

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;
using test::eventually;

/// A local driver over tests/unit/scheduler/drivers/test_child.cc. Nothing it started outlives it.
struct LocalWorld {
  explicit LocalWorld(std::vector<std::string> extra = {}, std::string binary = TG_TEST_CHILD) {
    settings.worker_binary = std::move(binary);
    settings.run_dir = folder.file("run");
    settings.socket_dir = folder.file("sock");
    settings.scheduler_address = "unix:/nowhere";
    settings.cluster_token_file = "/nowhere";
    settings.stop_limit = 10s;
    settings.extra_arguments = std::move(extra);
    first = *LocalDriver::open(settings, clock, log);
  }
  ~LocalWorld() {
    for (const ReplicaRecord& record : read_records(settings.run_dir)) {
      const auto pid = static_cast<pid_t>(record.pid);
      if (start_ticks_of(record.pid) != record.start_ticks || pid == ::getpid()) continue;
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }

  RuntimeDriver& driver() { return *first; }
  std::unique_ptr<RuntimeDriver> another() { return *LocalDriver::open(settings, clock, log); }
  void kill(const std::string& replica) { ::kill(pid_of(replica), SIGKILL); }
  Mono now() { return clock.mono(); }

  pid_t pid_of(const std::string& replica) const {
    for (const ReplicaRecord& record : read_records(settings.run_dir)) {
      if (record.replica == replica) return static_cast<pid_t>(record.pid);
    }
    return 0;
  }
  std::string log_text(const std::string& replica) const {
    std::ifstream in(std::filesystem::path(settings.run_dir) / (replica + ".log"));
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
  }

  test::TempDir folder;
  test::SimClock clock;
  test::LogCapture log;
  LocalDriver::Settings settings;
  std::unique_ptr<LocalDriver> first;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Local, RuntimeDriverContract, LocalWorld);

ReplicaSpec sim_spec() {
  return {.replica = "d-0", .deployment = "d", .model = "m", .variant = "sim", .engine = "sim", .region = "local",
          .pool = "cpu", .options = {"sim.step_ms=5"}};
}

bool is_alive(LocalWorld& world) {
  const auto seen = world.driver().observe(world.now());
  return !seen.empty() && seen[0].alive;
}

TEST(LocalDriver, WorkerGetsItsSpecItsTermAndTheTokensPathOnly) {
  LocalWorld world;
  ASSERT_TRUE(world.driver().start(sim_spec(), 7));
  ASSERT_TRUE(eventually([&] { return world.log_text("d-0").ends_with("running\n"); }));
  const std::string text = world.log_text("d-0");
  for (const char* argument : {"--engine=sim\n", "--model=m\n", "--replica=d-0\n", "--deployment=d\n", "--term=7\n",
                               "--sim.step_ms=5\n", "--scheduler.address=unix:/nowhere\n",
                               "--cluster_token_file=/nowhere\n"}) {
    EXPECT_THAT(text, ::testing::HasSubstr(argument));
  }
}

TEST(LocalDriver, WorkersGetThePathsOfTheirCertificatesWhenThereIsTlsInside) {
  LocalWorld world;
  ASSERT_TRUE(world.driver().start(sim_spec(), 1));
  ASSERT_TRUE(eventually([&] { return world.log_text("d-0").ends_with("running\n"); }));
  EXPECT_EQ(world.log_text("d-0").find("--rpc.tls"), std::string::npos);
  LocalWorld secure;
  secure.settings.worker_tls = {"/ca", "/cert", "/key"};
  secure.first = *LocalDriver::open(secure.settings, secure.clock, secure.log);
  ASSERT_TRUE(secure.driver().start(sim_spec(), 1));
  ASSERT_TRUE(eventually([&] { return secure.log_text("d-0").ends_with("running\n"); }));
  for (const char* argument : {"--rpc.tls_ca_file=/ca\n", "--rpc.tls_cert_file=/cert\n", "--rpc.tls_key_file=/key\n"}) {
    EXPECT_THAT(secure.log_text("d-0"), ::testing::HasSubstr(argument));
  }
}

TEST(LocalDriver, ReplicaIsTheLeaderOfASessionOfItsOwnAndOutlivesTheDriver) {
  LocalWorld world;
  ASSERT_TRUE(world.driver().start(sim_spec(), 1));
  const pid_t pid = world.pid_of("d-0");
  EXPECT_TRUE(eventually([&] { return ::getsid(pid) == pid; }));
  world.first.reset();
  world.first = *LocalDriver::open(world.settings, world.clock, world.log);
  EXPECT_TRUE(is_alive(world));
  EXPECT_EQ(world.pid_of("d-0"), pid);
}

TEST(LocalDriver, ReplicaThatIgnoresTermIsKilledAfterTheLimitAndNotBefore) {
  LocalWorld world({"--child.ignore_term"});
  ASSERT_TRUE(world.driver().start(sim_spec(), 1));
  ASSERT_TRUE(eventually([&] { return world.log_text("d-0").ends_with("running\n"); }));
  ASSERT_TRUE(world.driver().stop("d-0", 1));
  world.clock.advance(9s);
  EXPECT_TRUE(is_alive(world));
  EXPECT_FALSE(world.log.has("replica_killed"));
  world.clock.advance(1s);
  EXPECT_TRUE(eventually([&] { return !is_alive(world); }));
  EXPECT_TRUE(world.log.has("replica_killed"));
}

TEST(LocalDriver, AProcessWhoseFirstThreadAloneEndedRunsAndIsCollectedWhenItIsStopped) {
  LocalWorld world({"--child.first_thread_ends"});
  ASSERT_TRUE(world.driver().start(sim_spec(), 1));
  const pid_t pid = world.pid_of("d-0");
  ASSERT_TRUE(eventually([&] { return !start_ticks_of(pid); })) << "it looks like a zombie";
  EXPECT_TRUE(is_alive(world));
  ASSERT_TRUE(world.driver().stop("d-0", 1));
  EXPECT_TRUE(eventually([&] { return world.driver().observe(world.now()).empty(); }));
  EXPECT_TRUE(::kill(pid, 0) != 0) << "nothing of it is left";
}

TEST(LocalDriver, ReplicaThatFailsAtOnceIsSeenDeadWithItsStatus) {
  LocalWorld world({"--child.exit=3"});
  ASSERT_TRUE(world.driver().start(sim_spec(), 1));
  EXPECT_TRUE(eventually([&] {
    const auto seen = world.driver().observe(world.now());
    return !seen.empty() && !seen[0].alive && seen[0].exit == "exit status 3";
  }));
}

TEST(LocalDriver, StoppingADeadReplicaForgetsIt) {
  LocalWorld world;
  ASSERT_TRUE(world.driver().start(sim_spec(), 1));
  world.kill("d-0");
  ASSERT_TRUE(eventually([&] { return !is_alive(world); }));
  ASSERT_EQ(world.driver().observe(world.now()).size(), 1u) << "an end nobody asked for is remembered";
  ASSERT_TRUE(world.driver().stop("d-0", 1));
  EXPECT_TRUE(world.driver().observe(world.now()).empty());
  EXPECT_TRUE(read_records(world.settings.run_dir).empty());
}

TEST(LocalDriver, ANewTermFencesTheOneBeforeAlsoWithoutAnOrder) {
  LocalWorld world;
  ASSERT_TRUE(world.driver().start(sim_spec(), 1));
  const pid_t pid = world.pid_of("d-0");
  const auto next = world.another();
  next->begin_term(2);
  ReplicaSpec other = sim_spec();
  other.replica = "d-1";
  const Status started = world.driver().start(other, 1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().reason, "stale_term");
  EXPECT_FALSE(world.driver().stop("d-0", 1));
  EXPECT_TRUE(is_alive(world));
  EXPECT_EQ(world.pid_of("d-0"), pid);
  EXPECT_EQ(world.pid_of("d-1"), 0);
}

TEST(LocalDriver, WhatAnOlderSchedulerWritesLateDoesNotBringItsTermBack) {
  const test::TempDir folder;
  const std::filesystem::path dir = folder.path();
  ASSERT_TRUE(enter_term(dir, 4));
  ASSERT_TRUE(enter_term(dir, 6));
  std::ofstream(dir / "term") << "5\n";  // it had looked before the sixth term, and stood still between look and write
  EXPECT_EQ(enter_term(dir, 5).error().reason, "stale_term");
  EXPECT_TRUE(enter_term(dir, 6));
  std::uint64_t written = 0;
  std::ifstream(dir / "term") >> written;
  EXPECT_EQ(written, 6u) << "and is put right";
}

TEST(LocalDriver, AnOlderTermNeverEntersAfterANewerOneDid) {
  const test::TempDir folder;
  const std::filesystem::path dir = folder.path();
  std::atomic<Term> next = 1;
  std::atomic<Term> newest = 0;
  const auto enter_some = [&] {
    for (int i = 0; i < 50; ++i) {
      const Term term = next++;
      std::this_thread::yield();
      const Term entered = newest.load();
      const Status status = enter_term(dir, term);
      if (!status) {
        EXPECT_EQ(status.error().reason, "stale_term") << status.error().to_string();
        continue;
      }
      EXPECT_GT(term, entered);
      Term known = newest.load();
      while (known < term && !newest.compare_exchange_weak(known, term)) {
      }
    }
  };
  std::vector<std::future<void>> schedulers;
  for (int i = 0; i < 4; ++i) schedulers.push_back(std::async(std::launch::async, enter_some));
  for (std::future<void>& one : schedulers) one.get();
  const Term last = newest.load();
  EXPECT_TRUE(enter_term(dir, last));
  EXPECT_EQ(enter_term(dir, last - 1).error().reason, "stale_term");
}

TEST(LocalDriver, ATermIsNotEnteredWhereTheOnesBeforeCannotBeRead) {
  const test::TempDir folder;
  std::ofstream(folder.path() / "terms") << "no folder";
  const Status entered = enter_term(folder.path(), 7);
  ASSERT_FALSE(entered);
  EXPECT_EQ(entered.error().reason, "state_unreadable");
}

TEST(LocalDriver, AStartThatANewerTermOvertookIsUndone) {
  LocalWorld world;
  // Opening this log waits for a reader, and with it the start: a scheduler that stands still in the middle of it.
  const std::string log = world.settings.run_dir + "/d-0.log";
  ASSERT_EQ(::mkfifo(log.c_str(), 0600), 0);
  auto starting = std::async(std::launch::async, [&] { return world.driver().start(sim_spec(), 1); });
  const auto term_on_record = [&] {
    std::uint64_t term = 0;
    std::ifstream(std::filesystem::path(world.settings.run_dir) / "term") >> term;
    return term;
  };
  EXPECT_TRUE(eventually([&] { return term_on_record() == 1; }));
  const auto next = world.another();
  next->begin_term(2);
  const int reader = ::open(log.c_str(), O_RDONLY | O_NONBLOCK);
  const Status started = starting.get();
  ::close(reader);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().reason, "stale_term");
  EXPECT_TRUE(world.log.has("replica_start_undone")) << "it was started, and ended again";
  EXPECT_TRUE(read_records(world.settings.run_dir).empty());
  EXPECT_EQ(term_on_record(), 2u);
}

TEST(LocalDriver, MissingBinaryIsAnErrorAndLeavesNoRecord) {
  LocalWorld world({}, "/nonexistent/tidegate-worker");
  const Status started = world.driver().start(sim_spec(), 1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().reason, "start_failed");
  EXPECT_TRUE(world.driver().observe(world.now()).empty());
}

TEST(LocalDriver, ReusedPidIsNotTakenForTheReplica) {
  LocalWorld world;
  const auto ticks = start_ticks_of(::getpid());
  ASSERT_TRUE(ticks);
  ASSERT_TRUE(write_record(world.settings.run_dir,
                           {.replica = "d-0", .pid = ::getpid(), .start_ticks = *ticks - 1, .term = 1, .deployment = "d",
                            .model = "m", .spec_digest = "x", .admin_address = "127.0.0.1:1"}));
  const auto seen = world.driver().observe(world.now());
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_FALSE(seen[0].alive);
  ASSERT_TRUE(world.driver().stop("d-0", 1)) << "and this process must survive that";
}

TEST(LocalDriver, TornRecordIsPassedOver) {
  LocalWorld world;
  std::ofstream(std::filesystem::path(world.settings.run_dir) / "d-0.pid") << "123";
  EXPECT_TRUE(world.driver().observe(world.now()).empty());
  EXPECT_TRUE(world.driver().start(sim_spec(), 1));
  EXPECT_TRUE(is_alive(world));
}

}  // namespace
}  // namespace tidegate::scheduler
