#include "scheduler/drivers/kubernetes/state/replica_book.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/drivers/kubernetes/objects/object_names.h"

namespace tidegate::scheduler::kube {
namespace {

using namespace std::chrono_literals;

class ReplicaBookTest : public ::testing::Test {
 protected:
  static ReplicaSpec spec(std::string replica = "d-0") {
    return {.replica = std::move(replica), .deployment = "d", .model = "m"};
  }
  SeenWorkload workload(const std::string& run, Term term = 1, const std::string& replica = "d-0") {
    SeenWorkload seen;
    seen.name = workload_name(replica);
    seen.uid = "u-" + replica;
    seen.resource_version = std::to_string(++version_);
    seen.replica = replica;
    seen.deployment = "d";
    seen.spec_digest = spec(replica).digest();
    seen.run = run;
    seen.term = term;
    return seen;
  }
  static SeenPod pod(const std::string& run, const std::string& uid, PodLife life = PodLife::kRunning,
                     std::int64_t restarts = 0) {
    SeenPod seen;
    seen.name = "p-" + uid;
    seen.uid = uid;
    seen.workload = workload_name("d-0");
    seen.run = run;
    seen.life = life;
    seen.restarts = restarts;
    return seen;
  }
  ReplicaProcess only() {
    const auto all = book_.observe();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? ReplicaProcess() : all.front();
  }
  /// The next job that is neither a stamp nor a share.
  std::optional<KubeJob> order() {
    for (int i = 0; i < 10; ++i) {
      auto job = book_.next_job(1, now_);
      if (!job || (job->kind != KubeJob::Kind::kStamp && job->kind != KubeJob::Kind::kShare)) return job;
      book_.job_done(*job, now_);
    }
    return std::nullopt;
  }
  static CallFailure failed(int status) {
    CallFailure failure;
    failure.status = status;
    failure.message = "why " + std::to_string(status);
    return failure;
  }
  void run(const std::string& name) {
    book_.put_workload(workload(name));
    book_.put_pod(pod(name, "a"), now_);
  }

  ReplicaBook book_{{.stop_limit = 10s, .unseen_limit = 5s, .retry_least = 1ms, .retry_most = 1ms}, 1};
  Mono now_ = Mono(100s);
  int version_ = 0;
};

TEST_F(ReplicaBookTest, OrderIsKeptUntilTheClusterShowsIt) {
  book_.start(spec(), 1, "r1", now_);
  EXPECT_TRUE(only().alive);
  EXPECT_EQ(only().incarnation, "r1");
  const auto job = order();
  ASSERT_TRUE(job);
  EXPECT_EQ(job->kind, KubeJob::Kind::kApply);
  EXPECT_TRUE(job->target.name.empty());
  EXPECT_FALSE(order()) << "it is under way";
  book_.job_done(*job, now_);
  EXPECT_FALSE(order()) << "answered; the watch will show it";
  now_ += 6s;
  const auto again = order();
  ASSERT_TRUE(again) << "it did not: once more";
  book_.job_done(*again, now_);
  book_.put_workload(workload("r1"));
  EXPECT_EQ(book_.orders(), 0u);
  EXPECT_EQ(only().incarnation, "r1");
  EXPECT_TRUE(only().alive);
}

TEST_F(ReplicaBookTest, FailureThatPassesIsTriedAgainAndOneThatDoesNotIsTheReplicasEnd) {
  book_.start(spec(), 1, "r1", now_);
  auto job = order();
  book_.job_failed(*job, failed(503), now_);
  EXPECT_FALSE(order());
  EXPECT_EQ(only().waits_for, "why 503");
  now_ += 2ms;
  job = order();
  ASSERT_TRUE(job);
  book_.job_failed(*job, failed(422), now_);
  EXPECT_FALSE(only().alive);
  EXPECT_EQ(only().exit, "why 422");
  now_ += 1s;
  EXPECT_FALSE(order()) << "not by itself";
  book_.start(spec(), 1, "r2", now_);
  EXPECT_TRUE(order());
  EXPECT_EQ(only().incarnation, "r2");
}

TEST_F(ReplicaBookTest, RetryAfterIsKept) {
  book_.start(spec(), 1, "r1", now_);
  CallFailure throttled = failed(429);
  throttled.retry_after = 3s;
  book_.job_failed(*order(), throttled, now_);
  now_ += 2900ms;
  EXPECT_FALSE(order());
  now_ += 200ms;
  EXPECT_TRUE(order());
}

TEST_F(ReplicaBookTest, ConflictWaitsForTheNewVersionButNotWhenAnotherOwnsTheFields) {
  run("r1");
  book_.put_pod(pod("r1", "a", PodLife::kEnded), now_);
  book_.start(spec(), 1, "r2", now_);
  auto job = order();
  ASSERT_TRUE(job);
  book_.job_failed(*job, failed(409), now_);
  EXPECT_TRUE(only().alive);
  book_.put_workload(workload("r1"));
  now_ += 2ms;
  auto again = order();
  ASSERT_TRUE(again);
  EXPECT_NE(again->target.resource_version, job->target.resource_version);
  CallFailure owned = failed(409);
  owned.field_conflict = true;
  book_.job_failed(*again, owned, now_);
  EXPECT_FALSE(only().alive);
}

TEST_F(ReplicaBookTest, EndOfAContainerIsTheReplicasEnd) {
  run("r1");
  EXPECT_TRUE(only().alive);
  SeenPod ended = pod("r1", "a", PodLife::kEnded);
  ended.exit = "signal 9";
  book_.put_pod(ended, now_);
  EXPECT_FALSE(only().alive);
  EXPECT_EQ(only().exit, "signal 9");
  EXPECT_EQ(only().incarnation, "r1");
}

TEST_F(ReplicaBookTest, EndBetweenTwoLooksIsToldOnceAndTheNextLifeIsAnother) {
  run("r1");
  EXPECT_TRUE(only().alive);
  SeenPod again = pod("r1", "a", PodLife::kRunning, 1);
  again.exit = "exit status 3";
  book_.put_pod(again, now_);
  const ReplicaProcess dead = only();
  EXPECT_FALSE(dead.alive);
  EXPECT_EQ(dead.exit, "exit status 3");
  EXPECT_EQ(dead.incarnation, "r1");
  const ReplicaProcess next = only();
  EXPECT_TRUE(next.alive);
  EXPECT_EQ(next.incarnation, "r1.1");
}

TEST_F(ReplicaBookTest, EndThatWasSeenIsNotToldAgainWhenTheClusterHealsIt) {
  run("r1");
  only();
  book_.put_pod(pod("r1", "a", PodLife::kEnded), now_);
  EXPECT_FALSE(only().alive);
  book_.put_pod(pod("r1", "a", PodLife::kRunning, 1), now_);
  EXPECT_TRUE(only().alive);
  EXPECT_EQ(only().incarnation, "r1.1");
}

TEST_F(ReplicaBookTest, PodThatCameAndWentBetweenTwoLooksIsAnEnd) {
  run("r1");
  book_.drop_pod("p-a");
  EXPECT_FALSE(only().alive);
  book_.put_pod(pod("r1", "b"), now_);
  EXPECT_TRUE(only().alive);
  EXPECT_EQ(only().incarnation, "r1.1");
}

TEST_F(ReplicaBookTest, NewSchedulerTakesALongRestartedReplicaAsItIs) {
  book_.put_workload(workload("r1"));
  book_.put_pod(pod("r1", "a", PodLife::kRunning, 7), now_);
  EXPECT_TRUE(only().alive);
  EXPECT_EQ(only().incarnation, "r1");
}

TEST_F(ReplicaBookTest, PodsOfAnEarlierRunSayNothing) {
  book_.put_workload(workload("r2"));
  book_.put_pod(pod("r1", "a", PodLife::kEnded), now_);
  EXPECT_TRUE(only().alive);
}

TEST_F(ReplicaBookTest, OfTwoPodsTheOneThatRunsCounts) {
  book_.put_workload(workload("r1"));
  SeenPod evicted = pod("r1", "a", PodLife::kEnded);
  evicted.created_at = "2026-11-21T08:00:01Z";
  SeenPod fresh = pod("r1", "b");
  fresh.created_at = "2026-11-21T08:00:00Z";
  book_.put_pod(fresh, now_);
  book_.put_pod(evicted, now_);
  EXPECT_TRUE(only().alive);
  EXPECT_EQ(only().incarnation, "r1");
}

TEST_F(ReplicaBookTest, LiveReplicaIsNotStartedAgain) {
  run("r1");
  book_.start(spec(), 1, "r2", now_);
  EXPECT_FALSE(order());
  EXPECT_EQ(only().incarnation, "r1");
}

TEST_F(ReplicaBookTest, StopDeletesWhatWasSeenAndIsDoneWhenItHasGone) {
  run("r1");
  book_.stop("d-0", 1, now_);
  const auto job = order();
  ASSERT_TRUE(job);
  EXPECT_EQ(job->kind, KubeJob::Kind::kDelete);
  EXPECT_EQ(job->target.uid, "u-d-0");
  book_.job_done(*job, now_);
  SeenWorkload going = workload("r1");
  going.deleting = true;
  book_.put_workload(going);
  EXPECT_TRUE(only().alive) << "until it is gone";
  EXPECT_FALSE(order());
  book_.drop_workload("tg-d-0");
  EXPECT_TRUE(book_.observe().empty());
  EXPECT_EQ(book_.orders(), 0u);
}

TEST_F(ReplicaBookTest, StartDuringAStopWaitsForTheEnd) {
  run("r1");
  book_.stop("d-0", 1, now_);
  book_.job_done(*order(), now_);
  SeenWorkload going = workload("r1");
  going.deleting = true;
  book_.put_workload(going);
  book_.start(spec(), 1, "r2", now_);
  EXPECT_FALSE(order());
  book_.drop_workload("tg-d-0");
  const auto job = order();
  ASSERT_TRUE(job);
  EXPECT_EQ(job->kind, KubeJob::Kind::kApply);
  EXPECT_EQ(job->run, "r2");
}

TEST_F(ReplicaBookTest, StopThatOvertakesItsStartStillStops) {
  book_.start(spec(), 1, "r1", now_);
  const auto job = order();
  ASSERT_TRUE(job);
  book_.stop("d-0", 1, now_);
  book_.job_done(*job, now_);
  book_.put_workload(workload("r1"));
  const auto next = order();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->kind, KubeJob::Kind::kDelete);
}

TEST_F(ReplicaBookTest, StartAfterAStopThatHadNothingToStopIsNotHeldUpForEver) {
  book_.start(spec(), 1, "r1", now_);
  const auto job = order();
  ASSERT_TRUE(job);
  book_.stop("d-0", 1, now_);
  book_.start(spec(), 1, "r2", now_);
  book_.job_failed(*job, failed(500), now_);
  EXPECT_TRUE(only().alive);
  now_ += 1s;
  EXPECT_FALSE(order()) << "the first start may still show itself";
  now_ += 5s;
  const auto next = order();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->run, "r2");
}

TEST_F(ReplicaBookTest, StopOfAStartThatWasNeverSentLeavesNothing) {
  book_.start(spec(), 1, "r1", now_);
  book_.stop("d-0", 1, now_);
  EXPECT_FALSE(order());
  EXPECT_TRUE(book_.observe().empty());
}

TEST_F(ReplicaBookTest, ObjectDeletedByAPersonIsAnEndNobodyAskedFor) {
  run("r1");
  only();
  book_.drop_workload("tg-d-0");
  EXPECT_FALSE(only().alive);
  book_.start(spec(), 1, "r2", now_);
  EXPECT_TRUE(only().alive);
}

TEST_F(ReplicaBookTest, OlderObjectsAreStampedBeforeAnythingElseIsWrittenOnThem) {
  book_.put_workload(workload("r1", 1));
  book_.put_pod(pod("r1", "a", PodLife::kEnded), now_);
  book_.start(spec(), 2, "r2", now_);
  auto job = book_.next_job(2, now_);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->kind, KubeJob::Kind::kStamp);
  book_.job_done(*job, now_);
  book_.put_workload(workload("r1", 2));
  job = book_.next_job(2, now_);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->kind, KubeJob::Kind::kApply);
}

TEST_F(ReplicaBookTest, PodThatWasToldToGoTooLongAgoIsTakenAway) {
  run("r1");
  SeenPod going = pod("r1", "a");
  going.deleting = true;
  book_.put_pod(going, now_);
  now_ += 9s;
  EXPECT_FALSE(order());
  now_ += 2s;
  const auto job = order();
  ASSERT_TRUE(job);
  EXPECT_EQ(job->kind, KubeJob::Kind::kForce);
  EXPECT_EQ(job->pod.uid, "a");
}

TEST_F(ReplicaBookTest, DeploymentIsSharedAgainWhenItsOwnersChange) {
  book_.put_workload(workload("r1"));
  auto job = book_.next_job(1, now_);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->kind, KubeJob::Kind::kShare);
  EXPECT_EQ(job->owners.size(), 1u);
  book_.job_done(*job, now_);
  EXPECT_FALSE(book_.next_job(1, now_));
  EXPECT_TRUE(book_.is_settled(1));
  now_ += 11min;
  job = book_.next_job(1, now_);
  ASSERT_TRUE(job) << "somebody may have deleted it";
  book_.job_done(*job, now_);
  book_.put_workload(workload("r2", 1, "d-1"));
  job = book_.next_job(1, now_);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->owners.size(), 2u);
}

TEST_F(ReplicaBookTest, ListReplacesEverythingOfItsKind) {
  run("r1");
  only();
  SeenWorkload group = workload("g1", 1, "g-0");
  group.kind = WorkloadKind::kGroup;
  book_.put_workload(group);
  book_.take_workloads(WorkloadKind::kDeployment, {});
  const auto all = book_.observe();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_FALSE(all[0].alive);
  EXPECT_TRUE(all[1].alive) << "of another kind";
}

TEST_F(ReplicaBookTest, ForeignObjectUnderOurLabelsIsPassedOver) {
  SeenWorkload foreign = workload("r1");
  foreign.name = "other";
  book_.put_workload(foreign);
  EXPECT_TRUE(book_.observe().empty());
}

TEST_F(ReplicaBookTest, NothingIsKeptOfAReplicaThatHasGone) {
  // Each kind of job is refused after what it was about has gone.
  book_.start(spec(), 1, "r1", now_);
  const auto apply = order();
  ASSERT_TRUE(apply);
  book_.put_workload(workload("r1", 0));
  book_.put_pod(pod("r1", "a"), now_);
  book_.observe();
  std::vector<KubeJob> jobs = {*apply};
  for (auto job = book_.next_job(1, now_); job; job = book_.next_job(1, now_)) jobs.push_back(*job);
  SeenPod going = pod("r1", "a");
  going.deleting = true;
  book_.put_pod(going, now_);
  now_ += 11s;
  const auto force = book_.next_job(1, now_);
  ASSERT_TRUE(force);
  jobs.push_back(*force);
  book_.stop("d-0", 1, now_);
  const auto removal = order();
  ASSERT_TRUE(removal);
  jobs.push_back(*removal);
  ASSERT_EQ(jobs.size(), 5u) << "apply, stamp, share, force, delete";
  book_.drop_pod("p-a");
  book_.drop_workload(workload_name("d-0"));
  for (const KubeJob& job : jobs) book_.job_failed(job, failed(404), now_);
  EXPECT_FALSE(book_.next_job(1, now_));
  EXPECT_TRUE(book_.observe().empty());
  EXPECT_EQ(book_.orders(), 0u);
  EXPECT_EQ(book_.kept(), 0u);
}

TEST_F(ReplicaBookTest, AStampThatIsAnsweredAfterItsWorkloadWentLeavesNothing) {
  book_.put_workload(workload("r1", 0));
  const auto stamp = book_.next_job(1, now_);
  ASSERT_TRUE(stamp);
  ASSERT_EQ(stamp->kind, KubeJob::Kind::kStamp);
  book_.stop("d-0", 1, now_);
  book_.drop_workload(workload_name("d-0"));
  book_.job_done(*stamp, now_);
  EXPECT_FALSE(book_.next_job(1, now_));
  EXPECT_EQ(book_.kept(), 0u);
}

TEST_F(ReplicaBookTest, PodsThatOutliveTheirRunOrTheirWorkloadLeaveNothing) {
  run("r1");
  book_.put_workload(workload("r2"));
  book_.put_pod(pod("r1", "a", PodLife::kEnded), now_);  // a last word of the run before
  book_.drop_pod("p-a");
  book_.stop("d-0", 1, now_);
  book_.drop_workload(workload_name("d-0"));
  book_.put_pod(pod("r2", "b", PodLife::kEnded), now_);
  book_.drop_pod("p-b");
  EXPECT_FALSE(book_.next_job(1, now_));
  EXPECT_EQ(book_.kept(), 0u);
}

TEST_F(ReplicaBookTest, APodThatEndedBeforeItsOrderedRunWasShownIsRemembered) {
  book_.start(spec(), 1, "r1", now_);
  book_.put_pod(pod("r1", "a"), now_);
  book_.drop_pod("p-a");
  book_.put_workload(workload("r1"));
  EXPECT_FALSE(only().alive) << "its end is told";
}

TEST_F(ReplicaBookTest, ARunWhosePodIsShownBeforeItHasNotEnded) {
  run("r1");
  only();
  book_.put_pod(pod("r2", "b"), now_);  // ordered by another scheduler: its workload is shown next
  book_.put_workload(workload("r1"));
  book_.drop_pod("p-a");
  book_.put_workload(workload("r2"));
  EXPECT_TRUE(only().alive);
  EXPECT_EQ(only().incarnation, "r2");
}

TEST_F(ReplicaBookTest, SupersededSchedulerForgetsWhatItWanted) {
  book_.start(spec(), 1, "r1", now_);
  book_.forget_orders();
  EXPECT_FALSE(order());
  EXPECT_TRUE(book_.observe().empty());
}

}  // namespace
}  // namespace tidegate::scheduler::kube
