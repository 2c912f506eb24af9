#include "scheduler/drivers/local/local_driver.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

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

TEST(LocalDriver, ReplicaThatFailsAtOnceIsSeenDeadWithItsStatus) {
  LocalWorld world({"--child.exit=3"});
  ASSERT_TRUE(world.driver().start(sim_spec(), 1));
  EXPECT_TRUE(eventually([&] {
    const auto seen = world.driver().observe(world.now());
    return !seen.empty() && !seen[0].alive && seen[0].exit == "exit status 3";
  }));
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
