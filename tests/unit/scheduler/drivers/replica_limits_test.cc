#include "scheduler/drivers/local/replica_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "scheduler/drivers/local/child_process.h"
#include "scheduler/drivers/local/local_driver.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/sim_clock.h"
#include "tests/support/temp_dir.h"

namespace tidegate::scheduler::replica_limits_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using test::eventually;

constexpr std::int64_t kLimitBytes = 64LL << 20;

void put(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

/// What the kernel does: the files of a group go with it.
bool remove_whole(const fs::path& group) {
  std::error_code code;
  return fs::remove_all(group, code) > 0;
}

/// A driver whose worker is a shell that says what it was given, over a folder that looks like a delegated group. Not
/// the sanitized test child: RLIMIT_DATA counts the shadow memory of sanitizers.
struct World {
  World() {
    const fs::path script = folder.file("worker");
    put(script, "#!/bin/sh\necho \"data $(ulimit -d) nice $(nice) end\"\nexec sleep 600\n");
    fs::permissions(script, fs::perms::owner_all);
    root = folder.file("cgroup");
    fs::create_directory(root);
    put(root / "cgroup.controllers", "cpuset cpu memory pids\n");
    settings.worker_binary = script.string();
    settings.run_dir = folder.file("run");
    settings.socket_dir = folder.file("sock");
    settings.scheduler_address = "unix:/nowhere";
    settings.cluster_token_file = "/nowhere";
    settings.remove_group = remove_whole;
    settings.limits.cpu_weight = 10;
    settings.limits.memory_bytes_max = kLimitBytes;
  }
  ~World() {
    for (const ReplicaRecord& record : read_records(settings.run_dir)) {
      if (start_ticks_of(record.pid) != record.start_ticks) continue;
      ::kill(static_cast<pid_t>(record.pid), SIGKILL);
      ::waitpid(static_cast<pid_t>(record.pid), nullptr, 0);
    }
  }
  void by_cgroup() {
    settings.limits.by = "cgroup";
    settings.limits.cgroup_dir = root.string();
  }
  std::unique_ptr<LocalDriver> open() { return *LocalDriver::open(settings, clock, log); }
  ReplicaRecord record() const { return read_records(settings.run_dir).at(0); }
  /// A driver whose worker was killed in its cgroup; `events`: what the kernel counted there.
  std::unique_ptr<LocalDriver> start_and_kill(const std::string& events) {
    by_cgroup();
    auto driver = open();
    EXPECT_TRUE(driver->start(spec(), 1));
    put(fs::path(record().cgroup) / "memory.events", events);
    ::kill(static_cast<pid_t>(record().pid), SIGKILL);
    return driver;
  }
  std::size_t groups() const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(root)) count += entry.is_directory() ? 1U : 0U;
    return count;
  }
  static ReplicaSpec spec() { return {.replica = "d-0", .deployment = "d", .model = "m", .variant = "sim", .engine = "sim"}; }

  test::TempDir folder;
  test::SimClock clock;
  test::LogCapture log;
  fs::path root;
  LocalDriver::Settings settings;
};

/// How the replica ended, once it has; "" while it runs.
std::string exit_seen_by(LocalDriver& driver, World& world) {
  const auto seen = driver.observe(world.clock.mono());
  return seen.empty() || seen[0].alive ? "" : seen[0].exit;
}

TEST(ReplicaLimits, ANiceValueHasTheShareOfItsWeight) {
  EXPECT_EQ(nice_of_weight(0), 0) << "not set";
  EXPECT_EQ(nice_of_weight(100), 0);
  EXPECT_EQ(nice_of_weight(80), 1);
  EXPECT_EQ(nice_of_weight(10), 10);
  EXPECT_EQ(nice_of_weight(1), 19);
  EXPECT_EQ(nice_of_weight(10'000), 0) << "more than ordinary would need a privilege";
}

TEST(ReplicaLimits, WithoutACgroupAWorkerHasTheNiceValueAndTheDataLimitWhenItBegins) {
  World world;
  const auto driver = world.open();
  ASSERT_TRUE(driver->start(World::spec(), 1));
  const fs::path log = fs::path(world.settings.run_dir) / "d-0.log";
  ASSERT_TRUE(eventually([&] { return text_of(log).ends_with("end\n"); })) << text_of(log);
  const int nice = std::max(10, ::getpriority(PRIO_PROCESS, 0));
  EXPECT_EQ(text_of(log), "data " + std::to_string(kLimitBytes / 1024) + " nice " + std::to_string(nice) + " end\n");
  EXPECT_TRUE(world.log.has("replica_limits"));
  EXPECT_EQ(world.record().cgroup, "");
}

TEST(ReplicaLimits, NobodyIsLimitedWhereItIsTurnedOff) {
  World world;
  world.settings.limits.by = "none";
  const auto driver = world.open();
  ASSERT_TRUE(driver->start(World::spec(), 1));
  const fs::path log = fs::path(world.settings.run_dir) / "d-0.log";
  ASSERT_TRUE(eventually([&] { return text_of(log).ends_with("end\n"); })) << text_of(log);
  EXPECT_THAT(text_of(log), ::testing::Not(HasSubstr("data " + std::to_string(kLimitBytes / 1024) + " ")));
}

TEST(ReplicaLimits, ACgroupThatWasDemandedAndIsNotThereIsRefusedWithTheFix) {
  World world;
  world.by_cgroup();
  put(world.root / "cgroup.controllers", "cpu pids\n");
  auto opened = LocalDriver::open(world.settings, world.clock, world.log);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().reason, "limits_impossible");
  EXPECT_EQ(opened.error().field, "local.cgroup_dir");
  EXPECT_THAT(opened.error().message, HasSubstr("was not given the controller 'memory': delegate it"));
  fs::remove(world.root / "cgroup.controllers");
  opened = LocalDriver::open(world.settings, world.clock, world.log);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("is no folder of cgroup version 2"));

  world.settings.limits.by = "auto";
  EXPECT_TRUE(LocalDriver::open(world.settings, world.clock, world.log)) << "by the process's own means";
  EXPECT_TRUE(world.log.has("replica_limits_without_cgroup"));
}

TEST(ReplicaLimits, AWorkerJoinsAGroupWithItsLimitsBeforeItBegins) {
  World world;
  world.by_cgroup();
  const auto driver = world.open();
  ASSERT_TRUE(driver->start(World::spec(), 1));
  const fs::path group = world.record().cgroup;
  EXPECT_EQ(group.parent_path(), world.root);
  EXPECT_EQ(text_of(group / "cpu.weight"), "10");
  EXPECT_EQ(text_of(group / "memory.max"), std::to_string(kLimitBytes));
  EXPECT_EQ(text_of(group / "memory.oom.group"), "1");
  EXPECT_EQ(text_of(group / "cgroup.procs"), "0") << "written by the child itself, before start() returned";
  EXPECT_THAT(text_of(world.root / "cgroup.subtree_control"), HasSubstr("+memory"));
}

TEST(ReplicaLimits, AWorkerKilledAtItsMemoryLimitIsSaidToBeAndItsGroupGoes) {
  World world;
  const auto driver = world.start_and_kill("low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 1\n");
  ASSERT_TRUE(eventually([&] { return !exit_seen_by(*driver, world).empty(); }));
  EXPECT_EQ(exit_seen_by(*driver, world), "killed at its memory limit of 67108864 bytes") << "told again when the group is gone";
  EXPECT_EQ(world.groups(), 0u);
}

TEST(ReplicaLimits, ADeathOfAnotherCauseIsNotPutDownToTheLimit) {
  World world;
  const auto driver = world.start_and_kill("low 0\nhigh 0\nmax 7\noom 0\noom_kill 0\n");
  EXPECT_TRUE(eventually([&] { return exit_seen_by(*driver, world) == "signal 9"; }));

  const fs::path other = world.root / "other";
  fs::create_directory(other);
  put(other / "memory.events", "oom 0\noom_kill 1\n");
  EXPECT_EQ(memory_kill_of(other), "killed for want of memory on its machine, below its own limit");
}

TEST(ReplicaLimits, ANewTermSweepsWhatADeadSchedulerLeftAndKeepsTheGroupsOfAdoptedWorkers) {
  World world;
  world.by_cgroup();
  const auto first = world.open();
  ASSERT_TRUE(first->start(World::spec(), 1));
  fs::create_directory(world.root / "tidegate-left-1-2");
  fs::create_directory(world.root / "of-somebody-else");
  const auto next = world.open();
  next->begin_term(2);
  EXPECT_FALSE(fs::exists(world.root / "tidegate-left-1-2"));
  EXPECT_TRUE(fs::exists(world.root / "of-somebody-else"));
  EXPECT_TRUE(fs::exists(world.record().cgroup));
  EXPECT_TRUE(world.log.has("replica_cgroups_swept"));
}

TEST(ReplicaLimits, AStartThatFailsLeavesNoGroup) {
  World world;
  world.by_cgroup();
  world.settings.worker_binary = "/nonexistent/tidegate-worker";
  const auto driver = world.open();
  const Status started = driver->start(World::spec(), 1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().reason, "start_failed");
  EXPECT_EQ(world.groups(), 0u);
}

TEST(ReplicaLimits, AProgramThatCannotJoinItsGroupIsNeverRun) {
  World world;
  const fs::path log = world.folder.file("child.log");
  const auto pid = spawn_detached({world.settings.worker_binary}, log, {.cgroup = "/nonexistent/group"});
  ASSERT_FALSE(pid);
  EXPECT_EQ(pid.error().reason, "start_failed");
  EXPECT_THAT(pid.error().message, HasSubstr("it cannot join its cgroup"));
  EXPECT_EQ(text_of(log), "");
}

TEST(ReplicaLimits, ARecordOfAnOlderSchedulerHasNoGroupAndIsARecord) {
  World world;
  const auto driver = world.open();
  put(fs::path(world.settings.run_dir) / "d-0.pid", "123 456 1 d m x 127.0.0.1:1\n");
  EXPECT_EQ(world.record().admin_address, "127.0.0.1:1");
  EXPECT_EQ(world.record().cgroup, "");
}

}  // namespace
}  // namespace tidegate::scheduler::replica_limits_test
